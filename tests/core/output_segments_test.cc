// Pieces of memory that wait to be written: gathered, taken in parts, extended, and copied if they
// were only borrowed.
#include "weft/core/output_segments.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::internal {
namespace {

using ::testing::ElementsAre;

class OutputSegmentsTest : public testing::Test {
 protected:
  bool Push(std::string_view bytes, std::shared_ptr<const void> keeper = nullptr) {
    return segments_.TryPush({bytes.data(), bytes.size(), BlockRef(), std::move(keeper)});
  }
  std::vector<std::string> Gathered(int max = 64) {
    std::vector<iovec> pieces(static_cast<size_t>(max));
    const int count = segments_.Gather(pieces.data(), max);
    std::vector<std::string> all;
    for (int i = 0; i < count; ++i) {
      all.emplace_back(static_cast<const char*>(pieces[static_cast<size_t>(i)].iov_base),
                       pieces[static_cast<size_t>(i)].iov_len);
    }
    return all;
  }

  OutputSegments segments_;
  OutputTail tail_{nullptr};
};

TEST_F(OutputSegmentsTest, GathersTheOldestFirst) {
  EXPECT_TRUE(segments_.empty());
  for (const std::string_view s : {"a", "bc", "def"}) ASSERT_TRUE(Push(s));
  EXPECT_THAT(Gathered(), ElementsAre("a", "bc", "def"));
  EXPECT_THAT(Gathered(2), ElementsAre("a", "bc"));
}

TEST_F(OutputSegmentsTest, TakesPartsAndWholes) {
  for (const std::string_view s : {"abc", "def", "ghi"}) ASSERT_TRUE(Push(s));
  segments_.Take(1);
  EXPECT_THAT(Gathered(), ElementsAre("bc", "def", "ghi"));
  segments_.Take(2);
  EXPECT_THAT(Gathered(), ElementsAre("def", "ghi"));
  segments_.Take(4);
  EXPECT_THAT(Gathered(), ElementsAre("hi"));
  segments_.Take(2);
  EXPECT_TRUE(segments_.empty());
  ASSERT_TRUE(Push("j"));
  EXPECT_THAT(Gathered(), ElementsAre("j"));
}

TEST_F(OutputSegmentsTest, LetsAKeeperGoWithItsLastByte) {
  auto keeper = std::make_shared<int>(1);
  ASSERT_TRUE(Push("abc", keeper));
  ASSERT_TRUE(Push("d"));
  segments_.Take(2);
  EXPECT_EQ(keeper.use_count(), 2);
  segments_.Take(1);
  EXPECT_EQ(keeper.use_count(), 1);
}

TEST_F(OutputSegmentsTest, ExtendsOnlyTheNewestAndOnlyByWhatFollowsIt) {
  const BlockRef block = BlockRef::New(64), other = BlockRef::New(64);
  char* const data = block->data();
  EXPECT_FALSE(segments_.TryExtend(block.get(), data, 1)) << "nothing waits";
  ASSERT_TRUE(segments_.TryPush({data, 2, block, nullptr}));
  // The first is another block; the second leaves a gap of one byte in the right block.
  EXPECT_FALSE(segments_.TryExtend(other.get(), data + 2, 1));
  EXPECT_FALSE(segments_.TryExtend(block.get(), data + 3, 1));
  EXPECT_TRUE(segments_.TryExtend(block.get(), data + 2, 3));
  ASSERT_EQ(Gathered().size(), 1u);
  EXPECT_EQ(Gathered()[0].size(), 5u);
  segments_.Take(5);
  EXPECT_FALSE(segments_.TryExtend(block.get(), data + 5, 1)) << "it is written";
}

TEST_F(OutputSegmentsTest, OwnsWhatIsBorrowedAndNotWrittenYet) {
  std::string borrowed = "abcdef";
  const std::string kept = "kept";
  ASSERT_TRUE(Push(borrowed));
  ASSERT_TRUE(Push(kept, std::make_shared<int>(1)));
  segments_.Take(2);
  ASSERT_TRUE(segments_.OwnBorrowed(tail_));
  // The owner overwrites its memory. Bytes that were still borrowed would change with it.
  borrowed.assign(6, '-');
  EXPECT_THAT(Gathered(), ElementsAre("cdef", "kept"));
  iovec pieces[2];
  segments_.Gather(pieces, 2);
  EXPECT_EQ(pieces[1].iov_base, kept.data()) << "was copied";
}

TEST_F(OutputSegmentsTest, MovesUpWhatWaitsWhenThousandsAreWritten) {
  std::string bytes(5'000, 'x');
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>('a' + i % 26);
    ASSERT_TRUE(Push(std::string_view(bytes).substr(i, 1)));
  }
  std::string written;
  // Take them one by one, so that written segments gather until they are dropped in bulk.
  while (!segments_.empty()) {
    written += Gathered(1)[0];
    segments_.Take(1);
  }
  EXPECT_EQ(written, bytes);
}

}  // namespace
}  // namespace weft::internal
