// The block in which small appends run together: how it grows, when it goes, and when it is filled
// again.
#include "weft/core/output_tail.h"

#include <cstring>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

TEST(OutputTail, AppendsRunTogetherUntilTheBlockIsFull) {
  OutputTail tail(nullptr);
  // This is more than a small first block holds.
  std::memset(tail.Reserve(600), 'a', 600);
  const char* const first = tail.Use(300);
  const Block* const block = tail.block().get();
  EXPECT_EQ(tail.Reserve(100), first + 300);
  EXPECT_EQ(tail.Use(100), first + 300);
  EXPECT_EQ(tail.block().get(), block);
  EXPECT_NE(tail.Reserve(block->capacity()), first + 400);
  EXPECT_NE(tail.block().get(), block);
}

TEST(OutputTail, BlocksGrowWithWhatIsWritten) {
  OutputTail tail(nullptr);
  size_t last = 0;
  for (int i = 0; i < 6; ++i) {
    tail.Reserve(1);
    const size_t capacity = tail.block()->capacity();
    EXPECT_GE(capacity, last);
    last = capacity;
    // The block is full, so the next reservation needs another one.
    tail.Use(capacity);
  }
  EXPECT_EQ(last, (size_t{64} << 10) - sizeof(Block));
}

TEST(OutputTail, BeginsWithASmallBlockThatDoesNotStay) {
  OutputTail tail(nullptr);
  // Two blocks may be small; the tail makes larger ones until the next Trim.
  for (int i = 0; i < 2; ++i) {
    tail.Reserve(10);
    EXPECT_EQ(tail.block()->capacity(), 256 - sizeof(Block));
    tail.Use(10);
    EXPECT_TRUE(tail.SetAllWritten());
    EXPECT_FALSE(tail.block());
  }
  tail.Reserve(10);
  EXPECT_EQ(tail.block()->capacity(), 512 - sizeof(Block));
  tail.Use(10);
  EXPECT_FALSE(tail.SetAllWritten());
  EXPECT_TRUE(tail.block());
  tail.Trim();
  EXPECT_FALSE(tail.block());
  tail.Reserve(10);
  EXPECT_EQ(tail.block()->capacity(), 256 - sizeof(Block));
}

TEST(OutputTail, FillsItsBlockAgainOnlyWhenNobodyElseRefersToIt) {
  OutputTail tail(nullptr);
  tail.Reserve(300);
  const char* const first = tail.Use(300);
  BlockRef reader = tail.block();
  tail.SetAllWritten();
  // The bytes that somebody refers to may still be read.
  EXPECT_EQ(tail.Reserve(10), first + 300);
  reader.reset();
  tail.SetAllWritten();
  EXPECT_EQ(tail.Reserve(10), first);
}

}  // namespace
}  // namespace weft::internal
