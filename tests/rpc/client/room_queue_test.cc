// Calls that wait for room on a link which the test fills: in order, and each ended once.
#include "weft/rpc/client/room_queue.h"

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protos/echo.weft.h"
#include "tests/rpc/protocol/native/held_echo.h"
#include "tests/support/noting_call.h"
#include "tests/support/noting_link.h"
#include "tests/support/watched.h"
#include "weft/core/runtime.h"

namespace weft::internal {
namespace {

using absl::StatusCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr MethodInfo kMethod{"test.Store", "Put", "test.Store/Put", MethodKind::kUnary};
constexpr MethodInfo kOrdered{
    .service = "test.Store", .name = "Append", .full_name = "test.Store/Append", .ordered = true};

// A placer over links with room for so many. Calls of kOrdered are for the first one; others take
// any. As a WaitingRoom does, it does not try what is known to be full.
class CountingPlacer final : public CallPlacer {
 public:
  explicit CountingPlacer(EventLoop& loop) : links{NotingLink(loop), NotingLink(loop)} {}
  Placed PlaceAgain(OutboundCall& call, FullLinks* full) override {
    const size_t count = call.method.ordered ? 1 : used;
    for (size_t i = 0; i < count; ++i) {
      if (full->Contains(i + 1)) continue;
      tried[i].fetch_add(1);
      if (room[i] > 0) {
        --room[i];
        placed.Update([&](auto& all) { all.push_back(&call); });
        return Placed::kDone;
      }
      full->Add({&links[i], i + 1});
    }
    return count == used ? Placed::kAllFull : Placed::kNoRoom;
  }
  void CompleteNow(OutboundCall& call, const absl::Status& status, bool output_full) override {
    CallEnd end;
    end.status = status;
    end.may_have_been_executed = false;
    end.output_full = output_full;
    call.End(end);
  }
  void CompleteLater(OutboundCall& call, absl::Status status, bool output_full) override {
    CompleteNow(call, status, output_full);
  }

  NotingLink links[2];
  size_t used = 1;
  std::atomic<int> room[2] = {0, 0}, tried[2] = {0, 0};
  Watched<std::vector<OutboundCall*>> placed{{}};
};

class RoomQueueTest : public ::testing::Test {
 protected:
  RoomQueueTest() { queue_->SetKeeper(queue_); }

  std::unique_ptr<NotingCall> New(size_t size = 0, Nanos timeout = std::chrono::hours(1),
                                  const MethodInfo& method = kMethod) {
    request_.set_payload(std::string(size, 'x'));
    return std::make_unique<NotingCall>(method, request_, CallOptions{.wait_for_room = true},
                                        timeout);
  }
  std::unique_ptr<NotingCall> NewOrdered() { return New(0, std::chrono::hours(1), kOrdered); }
  // Another queue, over both links.
  void UseBoth() {
    placer_.used = 2;
    queue_ = std::make_shared<RoomQueue>(placer_, io(), /*one_link=*/false,
                                         MessageLimit{1000, "channel"}, 4000);
    queue_->SetKeeper(queue_);
  }
  PickedLink first_link() { return {&placer_.links[0], 1}; }
  PickedLink second_link() { return {&placer_.links[1], 2}; }
  size_t Asked(size_t link) { return placer_.links[link].asked.Get().size(); }
  // Behind what is posted.
  void InLoop(std::function<void()> f) {
    std::promise<void> done;
    io().loop->Post([&](TaskFate) {
      f();
      done.set_value();
    });
    done.get_future().get();
  }
  void TellRoom(size_t link = 0) {
    ASSERT_TRUE(placer_.links[link].TellRoom());
    InLoop([] {});
  }
  IoThread& io() { return runtime_->loops().At(0); }
  static StatusCode EndOf(NotingCall& call) { return call.AwaitEnd().code(); }

  std::shared_ptr<Runtime> runtime_ = test::QuietRuntime();
  test::EchoRequest request_;
  CountingPlacer placer_{*io().loop};
  std::shared_ptr<RoomQueue> queue_ = std::make_shared<RoomQueue>(
      placer_, io(), /*one_link=*/true, MessageLimit{1000, "channel"}, 4000);
};

TEST_F(RoomQueueTest, PlacesCallsInTheirOrderAndAsksOnceAtATime) {
  // Of its own size, to see for whose the link is asked.
  const auto first = New(500), second = New(), third = New();
  EXPECT_TRUE(queue_->empty());
  queue_->Add(*first, {first_link()});
  queue_->Add(*second, {});
  queue_->Add(*third, {});
  EXPECT_EQ(Asked(0), 1u);
  EXPECT_EQ(placer_.links[0].asked.Get()[0].first, first->request.Size());
  placer_.room[0] = 2;
  TellRoom();
  EXPECT_THAT(placer_.placed.Get(), ElementsAre(first.get(), second.get()));
  // Two were placed, and the third found no room: the link is asked once more.
  EXPECT_EQ(Asked(0), 2u);
  EXPECT_FALSE(queue_->empty());
  placer_.room[0] = 1;
  TellRoom();
  EXPECT_THAT(placer_.placed.Get(), ElementsAre(first.get(), second.get(), third.get()));
  EXPECT_TRUE(queue_->empty());
  EXPECT_EQ(Asked(0), 2u);
}

TEST_F(RoomQueueTest, TriesNobodyWhileNobodyIsTold) {
  const auto first = New(), second = New();
  queue_->Add(*first, {first_link()});
  queue_->Add(*second, {first_link()});
  InLoop([] {});
  InLoop([] {});
  // Neither turn of the loop has tried anything by itself.
  EXPECT_EQ(placer_.tried[0], 0);
  TellRoom();
  EXPECT_EQ(placer_.tried[0], 1) << "the second was tried before the first";
  EXPECT_EQ(Asked(0), 2u);
  queue_->CancelCall(first->wire().id);
  queue_->CancelCall(second->wire().id);
  EXPECT_EQ(EndOf(*first), StatusCode::kCancelled);
  EXPECT_EQ(EndOf(*second), StatusCode::kCancelled);
}

TEST_F(RoomQueueTest, EndsACallWhoseDeadlineComesFirst) {
  const auto call = New(0, std::chrono::milliseconds(1));
  queue_->Add(*call, {first_link()});
  EXPECT_EQ(EndOf(*call), StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(call->ends.Get()[0].message()), HasSubstr("no room to be written"));
  EXPECT_TRUE(call->output_full);
  EXPECT_TRUE(queue_->empty());
}

TEST_F(RoomQueueTest, RefusesMoreThanMayWait) {
  std::vector<std::unique_ptr<NotingCall>> calls;
  for (int i = 0; i < 3; ++i) {
    // Half of the output's 4,000 bytes may wait: two of these, and not three.
    queue_->Add(*calls.emplace_back(New(900)), {first_link()});
  }
  EXPECT_EQ(EndOf(*calls[2]), StatusCode::kResourceExhausted);
  EXPECT_TRUE(calls[2]->output_full);
  EXPECT_THAT(std::string(calls[2]->ends.Get()[0].message()),
              HasSubstr("wait for room on the connection; the limits are 1000 calls and 2000"));
  // More than a message may be.
  const auto large = New(1001);
  queue_->Add(*large, {first_link()});
  EXPECT_EQ(EndOf(*large), StatusCode::kResourceExhausted);
  InLoop([&] {
    io().loop->AssertInLoop();
    queue_->EndAll(absl::UnavailableError("over"));
  });
  EXPECT_EQ(EndOf(*calls[0]), StatusCode::kUnavailable);
  EXPECT_EQ(EndOf(*calls[1]), StatusCode::kUnavailable);
}

TEST_F(RoomQueueTest, ClosedItLetsNobodyIn) {
  queue_->Close();
  const auto call = New();
  queue_->Add(*call, {first_link()});
  EXPECT_EQ(EndOf(*call), StatusCode::kUnavailable);
}

// ---- several links

TEST_F(RoomQueueTest, ACallGoesOverAnyLinkThatHasRoom) {
  UseBoth();
  const auto ordered = NewOrdered(), any = New(), later = New();
  queue_->Add(*ordered, {first_link()});
  // The second call is not held up by the first, which is for one link only.
  queue_->Add(*any, {first_link(), second_link()});
  EXPECT_EQ(Asked(0), 1u);
  EXPECT_EQ(Asked(1), 1u);
  placer_.room[1] = 1;
  TellRoom(1);
  EXPECT_THAT(placer_.placed.Get(), ElementsAre(any.get())) << "it waited behind another's link";
  EXPECT_EQ(placer_.tried[0], 0) << "it was tried before it said that there is room";
  // A call that comes now is tried on the link that no call waits for.
  placer_.room[1] = 1;
  queue_->Add(*later, {});
  InLoop([] {});
  EXPECT_THAT(placer_.placed.Get(), ElementsAre(any.get(), later.get()));
  placer_.room[0] = 1;
  TellRoom(0);
  EXPECT_THAT(placer_.placed.Get(), ElementsAre(any.get(), later.get(), ordered.get()));
  EXPECT_TRUE(queue_->empty());
}

TEST_F(RoomQueueTest, AsksEachLinkOnceAtATime) {
  UseBoth();
  const auto first = New(), second = New(), third = NewOrdered();
  queue_->Add(*first, {first_link(), second_link()});
  queue_->Add(*second, {first_link(), second_link()});
  queue_->Add(*third, {first_link()});
  // Each time the first call is tried, finds the link full and asks again.
  for (int i = 0; i < 3; ++i) TellRoom(1);  // and there is none after all
  EXPECT_EQ(Asked(0), 1u);
  EXPECT_EQ(Asked(1), 4u);
  EXPECT_EQ(placer_.tried[1], 3) << "others were tried behind one that found no room";
  placer_.room[0] = 3;
  TellRoom(0);
  EXPECT_THAT(placer_.placed.Get(), ElementsAre(first.get(), second.get(), third.get()));
}

// A link that is found full on the way to another is asked to tell of room too: calls behind rely
// on that.
TEST_F(RoomQueueTest, NobodyWaitsForALinkThatNobodyAsks) {
  UseBoth();
  const auto first = New(), second = New(), third = NewOrdered();
  queue_->Add(*first, {second_link()});
  queue_->Add(*second, {second_link()});
  queue_->Add(*third, {second_link()});
  placer_.room[1] = 1;
  TellRoom(1);
  EXPECT_THAT(placer_.placed.Get(), ElementsAre(first.get()));
  EXPECT_EQ(Asked(0), 1u);
  // The first link was found full on the way, and so was asked.
  placer_.room[0] = 2;
  TellRoom(0);
  EXPECT_THAT(placer_.placed.Get(), ElementsAre(first.get(), second.get(), third.get()));
}

}  // namespace
}  // namespace weft::internal
