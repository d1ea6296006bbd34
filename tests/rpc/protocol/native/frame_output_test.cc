// The output of one connection over a scripted transport: its order, its limit, and those who wait
// for room. The loop runs on a thread of its own; the test writes from another one.
#include "weft/rpc/protocol/native/frame_output.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/loop_thread.h"
#include "tests/support/scripted_transport.h"
#include "tests/support/watched.h"

namespace weft::internal::native {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Counts how often it is told.
class Waiter final : public RoomWaiter {
 public:
  void OnRoom() override {
    told.Update([](int& n) { ++n; });
  }
  Watched<int> told{0};
};

// A connection's output over a transport that takes as many bytes as the test says.
class FrameOutputTest : public testing::Test {
 protected:
  FrameOutputTest() {
    SessionLimits limits;
    limits.max_output_bytes = 1'000'000;
    frames_ = std::make_shared<FrameOutput>(
        loop_.shared_loop(), std::make_unique<ScriptedTransport>(record_), "the peer",
        std::make_shared<const SessionLimits>(limits), InputBudgets(), ConnectionEnd::kDialled);
  }
  // A message of that many bytes, each `c`, as the call's request; written as far as a frame goes.
  void Send(uint64_t id, char c, size_t size) {
    const auto bytes = std::make_shared<const std::string>(size, c);
    std::vector<MessagePiece> pieces{{BlockRef(), bytes->data(), size}};
    OutMessage out;
    out.pieces = &pieces;
    out.keeper = bytes;
    out.size = size;
    RequestHead head;
    head.id = id;
    head.method = 1;
    MutexLock lock(frames_->output().mutex());
    const PieceCursor rest = frames_->Writer().Request(head, out);
    if (rest.left > 0) frames_->AddFragments({id, false}, rest, out, pieces);
  }
  void Flush() {
    bool claimed;
    {
      MutexLock lock(frames_->output().mutex());
      claimed = frames_->output().Claim();
    }
    frames_->Flush(claimed, /*gather=*/false, /*large=*/false);
  }
  size_t Waiting() {
    MutexLock lock(frames_->output().mutex());
    return frames_->Waiting();
  }
  // The frames since the last time, as "type:call".
  std::vector<std::string> Frames() {
    const std::string bytes = record_->written();
    std::vector<std::string> frames;
    while (seen_ < bytes.size()) {
      const FrameHeader header = ReadHeader(bytes.data() + seen_);
      frames.push_back(absl::StrCat(static_cast<int>(header.type), ":", header.id));
      seen_ += kHeaderSize + header.length;
    }
    return frames;
  }
  static std::string Frame(FrameType type, uint64_t id) {
    return absl::StrCat(static_cast<int>(type), ":", id);
  }

  LoopThread loop_;
  const std::shared_ptr<WriteRecord> record_ = std::make_shared<WriteRecord>();
  std::shared_ptr<FrameOutput> frames_;
  size_t seen_ = 0;
};

TEST_F(FrameOutputTest, SendsPiecesOfLargeMessagesBetweenOthers) {
  Send(1, 'a', 2 * kMinFrame);
  Send(3, 'b', 10);
  EXPECT_GT(Waiting(), 2 * kMinFrame);
  Flush();
  EXPECT_EQ(Waiting(), 0u);
  EXPECT_THAT(Frames(), ElementsAre(Frame(FrameType::kRequest, 1), Frame(FrameType::kRequest, 3),
                                    Frame(FrameType::kData, 1), Frame(FrameType::kData, 1)));
}

TEST_F(FrameOutputTest, DropsWhatIsLeftOfAMessageThatNobodyWants) {
  Send(1, 'a', 2 * kMinFrame);
  {
    MutexLock lock(frames_->output().mutex());
    EXPECT_TRUE(frames_->Fragmented({1, false}));
    EXPECT_FALSE(frames_->Fragmented({1, true}));
    frames_->DropFragments({1, false});
    EXPECT_FALSE(frames_->fragmented());
  }
  Flush();
  EXPECT_THAT(Frames(), ElementsAre(Frame(FrameType::kRequest, 1)));
}

TEST_F(FrameOutputTest, WritesNothingBehindItsLastFrame) {
  Send(1, 'a', 2 * kMinFrame);
  loop_.Run([&] {
    loop_.loop().AssertInLoop();
    const FrameHeader last{0, FrameType::kGoAway, 0, 0, 7};
    frames_->SendLast(&last, "");
    // Neither this frame nor the rest of the message follows the last one.
    frames_->SendFrame({0, FrameType::kPing, 0, 0, 0}, "");
  });
  loop_.Settle();
  EXPECT_THAT(Frames(), ElementsAre(Frame(FrameType::kRequest, 1), Frame(FrameType::kGoAway, 7)));
}

TEST_F(FrameOutputTest, RefusesWhatMakesMoreWaitThanItsLimit) {
  Send(1, 'a', 999'000);
  MutexLock lock(frames_->output().mutex());
  EXPECT_FALSE(frames_->HasRoom(2'000));
  EXPECT_TRUE(frames_->CheckRoom(Side::kClient, 100).ok());
  EXPECT_THAT(std::string(frames_->CheckRoom(Side::kClient, 2'000).message()),
              HasSubstr("bytes wait to be written, with the request's 2000 more"));
  // This end has dialled, so the limit is its channel's also for replies.
  EXPECT_THAT(std::string(frames_->CheckRoom(Side::kServer, 2'000).message()),
              HasSubstr("(max_output_bytes of the channel)"));
}

TEST_F(FrameOutputTest, TellsWhoWaitsOnceThereIsRoom) {
  const auto waiter = std::make_shared<Waiter>();
  frames_->SetRoomWaiter(waiter);
  // Behind the first frame still more than kStreamRoom waits.
  Send(1, 'a', FrameOutput::kStreamRoom + kMinFrame);
  {
    MutexLock lock(frames_->output().mutex());
    frames_->AwaitRoom();
    // Asked twice, told once.
    frames_->AwaitRoom();
  }
  loop_.Settle();
  EXPECT_EQ(waiter->told.Get(), 0);
  Flush();
  loop_.Settle();
  EXPECT_EQ(waiter->told.Get(), 1);
}

TEST_F(FrameOutputTest, TellsNobodyWhoIsGone) {
  // The only share of the waiter goes here: the output keeps none.
  frames_->SetRoomWaiter(std::make_shared<Waiter>());
  {
    MutexLock lock(frames_->output().mutex());
    frames_->AwaitRoom();
  }
  Flush();
  loop_.Settle();
}

// A loop that has closed runs what is posted inside: here under the mutex that those who are told
// may take.
TEST_F(FrameOutputTest, TellsNobodyUnderItsMutex) {
  class Observer final : public RoomObserver {
   public:
    void OnRoom() override { ++told; }
    int told = 0;
  };
  const auto waiter = std::make_shared<Waiter>();
  const auto observer = std::make_shared<Observer>();
  frames_->SetRoomWaiter(waiter);
  Send(1, 'a', 900'000);
  {
    MutexLock lock(frames_->output().mutex());
    ASSERT_TRUE(frames_->Full(200'000));
    frames_->AwaitRoom();
    frames_->AwaitRoomFor(200'000, observer);
  }
  loop_.Stop();
  Flush();
  EXPECT_EQ(Waiting(), 0u);
  EXPECT_EQ(waiter->told.Get(), 0);
  EXPECT_EQ(observer->told, 0);
  // Tell is for callers without the mutex: it tells at once where the loop has closed.
  frames_->Tell({observer});
  EXPECT_EQ(observer->told, 1);
}

}  // namespace
}  // namespace weft::internal::native
