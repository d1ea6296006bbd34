// Frames that are kept until the verdict: their order, their times and their bound.
#include "weft/rpc/protocol/native/held_frames.h"

#include <chrono>
#include <string>

#include <gtest/gtest.h>

namespace weft::internal::native {
namespace {

TEST(HeldFrames, KeepFramesInTheirOrderWithTheirTimes) {
  HeldFrames held;
  const MonoTime came = MonoTime() + std::chrono::seconds(5);
  std::string first = "first";
  ASSERT_TRUE(held.Keep(first, came));
  first.assign("gone!");  // a copy is kept
  ASSERT_TRUE(held.Keep("the second", came + std::chrono::seconds(1)));
  ASSERT_EQ(held.frames().size(), 2u);
  EXPECT_EQ(std::string(held.frames()[0].block->data(), held.frames()[0].size), "first");
  EXPECT_EQ(held.frames()[0].came, came);
  EXPECT_EQ(std::string(held.frames()[1].block->data(), held.frames()[1].size), "the second");
  EXPECT_EQ(held.frames()[1].came, came + std::chrono::seconds(1));
}

// A frame without a body costs as well: else a peer could have any number of them held.
TEST(HeldFrames, AreFullBySmallFramesAndByLargeOnes) {
  HeldFrames small;
  size_t count = 0;
  while (!small.full()) {
    ASSERT_TRUE(small.Keep("", MonoTime()));
    ++count;
  }
  EXPECT_EQ(count, HeldFrames::kMaxBytes / HeldFrames::kCost);
  HeldFrames large;
  // One byte less than full.
  ASSERT_TRUE(large.Keep(std::string(HeldFrames::kMaxBytes - HeldFrames::kCost - 1, 'x'), {}));
  EXPECT_FALSE(large.full());
  ASSERT_TRUE(large.Keep("", MonoTime()));
  EXPECT_TRUE(large.full());
}

}  // namespace
}  // namespace weft::internal::native
