// A level between two marks.
#include "weft/core/watermark.h"

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

TEST(Watermark, ChangesAboveHighAndAtLow) {
  Watermark mark(10, 20);
  EXPECT_FALSE(mark.above());
  EXPECT_FALSE(mark.Update(20));
  EXPECT_TRUE(mark.Update(21));
  EXPECT_TRUE(mark.above());
  EXPECT_FALSE(mark.Update(11)) << "between the marks nothing changes";
  EXPECT_TRUE(mark.above());
  EXPECT_TRUE(mark.Update(10));
  EXPECT_FALSE(mark.above());
  EXPECT_FALSE(mark.Update(15));
  EXPECT_FALSE(mark.above());
}

TEST(Watermark, MayHaveBothMarksAtZero) {
  Watermark mark(0, 0);
  EXPECT_TRUE(mark.Update(1));
  EXPECT_TRUE(mark.Update(0));
}

}  // namespace
}  // namespace weft::internal
