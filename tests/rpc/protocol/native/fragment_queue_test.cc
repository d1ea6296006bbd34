// The order in which pieces of several messages go out. Frames of 10 bytes are written into a
// transport that keeps them.
#include "weft/rpc/protocol/native/fragment_queue.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/scripted_transport.h"

namespace weft::internal::native {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr size_t kFrame = 10;  // a piece

class FragmentQueueTest : public testing::Test {
 protected:
  // A message of that many bytes, each `c`.
  static FragmentQueue::Rest Of(char c, size_t size) {
    const auto bytes = std::make_shared<const std::string>(size, c);
    return {{{BlockRef(), bytes->data(), size}}, bytes, {0, 0, size}};
  }
  // Feeds until so many bytes are queued, and writes them. Says whether a call's last byte was
  // among them.
  bool Feed(size_t until = SIZE_MAX) {
    bool ended, claimed;
    {
      MutexLock lock(queue_.mutex());
      FrameWriter writer(queue_, kFrame);
      ended = fragments_.Feed(queue_, writer, until);
      claimed = queue_.Claim();
    }
    if (claimed) {
      EXPECT_EQ(queue_.Flush(), OutputQueue::Flushed::kAll);
    }
    return ended;
  }
  // The frames since the last time, as "1:aaa+" (more follow) or "2r:b" (a reply's, its last).
  std::vector<std::string> Frames() {
    const std::string bytes = record_->written();
    std::vector<std::string> frames;
    while (seen_ < bytes.size()) {
      const FrameHeader header = ReadHeader(bytes.data() + seen_);
      const std::string_view body =
          std::string_view(bytes).substr(seen_ + kHeaderSize, header.length);
      frames.push_back(absl::StrCat(header.id, header.has(kReply) ? "r:" : ":",
                                    absl::string_view(body.data(), body.size()),
                                    header.has(kMore) ? "+" : ""));
      seen_ += kHeaderSize + header.length;
    }
    return frames;
  }

  const std::shared_ptr<WriteRecord> record_ = std::make_shared<WriteRecord>();
  OutputQueue queue_{std::make_unique<ScriptedTransport>(record_)};
  FragmentQueue fragments_;
  size_t seen_ = 0;
};

TEST_F(FragmentQueueTest, SendsAFrameOfEachMessageInTurn) {
  fragments_.Add({.id = 1}, Of('a', 25));
  fragments_.Add({.id = 2, .reply = true}, Of('b', 12));
  EXPECT_EQ(fragments_.bytes(), 37u);
  EXPECT_TRUE(Feed());
  EXPECT_THAT(Frames(),
              ElementsAre("1:aaaaaaaaaa+", "2r:bbbbbbbbbb+", "1:aaaaaaaaaa+", "2r:bb", "1:aaaaa"));
  EXPECT_TRUE(fragments_.empty());
  EXPECT_EQ(fragments_.bytes(), 0u);
}

TEST_F(FragmentQueueTest, StopsWhereEnoughIsQueuedAndGoesOnWithTheNextMessage) {
  fragments_.Add({.id = 1}, Of('a', 20));
  fragments_.Add({.id = 2}, Of('b', 20));
  EXPECT_FALSE(Feed(/*until=*/1));
  EXPECT_THAT(Frames(), ElementsAre("1:aaaaaaaaaa+"));
  EXPECT_EQ(fragments_.bytes(), 30u);
  EXPECT_FALSE(Feed(/*until=*/1));
  EXPECT_THAT(Frames(), ElementsAre("2:bbbbbbbbbb+"));
  EXPECT_TRUE(Feed(/*until=*/1));
  EXPECT_THAT(Frames(), ElementsAre("1:aaaaaaaaaa"));
}

TEST_F(FragmentQueueTest, WritesWhatStandsBehindAMessageWhenThatIsOut) {
  fragments_.Add({.id = 1}, Of('a', 20));
  fragments_.Behind({.id = 1}, 3, [](FrameWriter& writer) {
    writer.Plain({3, FrameType::kResponse, 0, 0, 1}, "end");
    // The frame behind has a rest of its own, which goes out in the same way.
    return Of('c', 4);
  });
  fragments_.Add({.id = 2}, Of('b', 5));
  EXPECT_EQ(fragments_.bytes(), 28u);
  EXPECT_TRUE(Feed());
  EXPECT_THAT(Frames(), ElementsAre("1:aaaaaaaaaa+", "2:bbbbb", "1:aaaaaaaaaa", "1:end", "1:cccc"));
  EXPECT_TRUE(fragments_.empty());
  EXPECT_EQ(fragments_.bytes(), 0u);
}

TEST_F(FragmentQueueTest, TellsACallFromAReplyOfTheSameNumber) {
  fragments_.Add({.id = 1}, Of('a', 5));
  EXPECT_TRUE(fragments_.Contains({.id = 1}));
  EXPECT_FALSE(fragments_.Contains({.id = 1, .reply = true}));
  fragments_.Drop({.id = 1, .reply = true});
  EXPECT_EQ(fragments_.bytes(), 5u);
}

TEST_F(FragmentQueueTest, DropsAMessageWithWhatStandsBehindIt) {
  fragments_.Add({.id = 1}, Of('a', 20));
  fragments_.Add({.id = 2}, Of('b', 5));
  fragments_.Behind({.id = 1}, 7, [](FrameWriter&) -> FragmentQueue::Rest {
    ADD_FAILURE() << "it was dropped";
    return {};
  });
  fragments_.Drop({.id = 1});
  EXPECT_EQ(fragments_.bytes(), 5u);
  Feed();
  EXPECT_THAT(Frames(), ElementsAre("2:bbbbb"));
  fragments_.Add({.id = 3}, Of('c', 5));
  fragments_.Clear();
  EXPECT_FALSE(Feed());
  EXPECT_THAT(Frames(), IsEmpty());
  EXPECT_EQ(fragments_.bytes(), 0u);
}

TEST_F(FragmentQueueTest, SendsNothingOfAMessageThatIsTakenOut) {
  fragments_.Add({.id = 1}, Of('a', 20));
  fragments_.Add({.id = 2}, Of('b', 15));
  FragmentQueue::Rest rest;
  EXPECT_FALSE(fragments_.TakeOut({.id = 3}, &rest));
  ASSERT_TRUE(fragments_.TakeOut({.id = 1}, &rest));
  EXPECT_EQ(rest.cursor.left, 20u);
  EXPECT_TRUE(Feed());
  EXPECT_THAT(Frames(), ElementsAre("2:bbbbbbbbbb+", "2:bbbbb"));
  // Other bytes than before: those that are put back go out, not the old ones.
  fragments_.PutBack({.id = 1}, Of('A', 20));
  EXPECT_TRUE(Feed());
  EXPECT_THAT(Frames(), ElementsAre("1:AAAAAAAAAA+", "1:AAAAAAAAAA"));
}

TEST_F(FragmentQueueTest, ForgetsAMessageThatWasDroppedWhileItWasTakenOut) {
  fragments_.Add({.id = 1}, Of('a', 20));
  FragmentQueue::Rest rest;
  ASSERT_TRUE(fragments_.TakeOut({.id = 1}, &rest));
  fragments_.Drop({.id = 1});
  // The call ended while its bytes were copied without the mutex.
  fragments_.PutBack({.id = 1}, std::move(rest));
  EXPECT_TRUE(fragments_.empty());
  EXPECT_FALSE(Feed());
  EXPECT_THAT(Frames(), IsEmpty());
}

}  // namespace
}  // namespace weft::internal::native
