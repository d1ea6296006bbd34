// The effect of a fault script on each write and read of one direction, without any connection.
#include "weft/core/fault_cursor.h"

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

TEST(FaultCursor, TakesAllAndAtOnceWithoutAScript) {
  FaultCursor cursor;
  const FaultCursor::Written written = cursor.Write(1'000);
  EXPECT_EQ(written.taken, 1'000u);
  EXPECT_EQ(written.arriving, 1'000u);
  EXPECT_EQ(written.delay, Nanos::zero());
  EXPECT_FALSE(written.cut);
  EXPECT_FALSE(cursor.silent());
  EXPECT_EQ(cursor.Read(500), 500u);
  EXPECT_EQ(cursor.read_every(), Nanos::zero());
}

TEST(FaultCursor, TakesAtMostSoMuchInOneWrite) {
  FaultCursor cursor(FaultScript{.max_write = 3});
  EXPECT_EQ(cursor.Write(10).taken, 3u);
  EXPECT_EQ(cursor.Write(2).taken, 2u);
}

TEST(FaultCursor, CutsBehindExactlyTheByteItWasTold) {
  FaultCursor cursor(FaultScript{.cut_at = 10});
  EXPECT_FALSE(cursor.Write(9).cut);
  const FaultCursor::Written last = cursor.Write(5);
  // The tenth byte still arrives; the rest of this write is lost.
  EXPECT_EQ(last.taken, 1u);
  EXPECT_EQ(last.arriving, 1u);
  EXPECT_TRUE(last.cut);
}

TEST(FaultCursor, CutsAtOnceWhenItWasTheFirstByte) {
  FaultCursor cursor(FaultScript{.cut_at = 0});
  const FaultCursor::Written written = cursor.Write(5);
  EXPECT_TRUE(written.cut);
  EXPECT_EQ(written.arriving, 0u);
}

TEST(FaultCursor, BytesFromAPositionOnVanishButAreTaken) {
  FaultCursor cursor(FaultScript{.drop_from = 4});
  EXPECT_FALSE(cursor.silent());
  FaultCursor::Written written = cursor.Write(6);
  // The writer is not told, as with a cable that was pulled.
  EXPECT_EQ(written.taken, 6u);
  EXPECT_EQ(written.arriving, 4u);
  EXPECT_TRUE(cursor.silent());
  written = cursor.Write(6);
  EXPECT_EQ(written.taken, 6u);
  EXPECT_EQ(written.arriving, 0u);
}

TEST(FaultCursor, DrawsDelaysBetweenTheTwoFromItsSeed) {
  const FaultScript script{
      .delay = absl::Milliseconds(2), .max_delay = absl::Milliseconds(5), .seed = 7};
  FaultCursor one(script), same(script);
  bool differ = false;
  Nanos last{};
  for (int i = 0; i < 100; ++i) {
    const Nanos delay = one.Write(1).delay;
    // The seed alone decides, so that a simulation can be repeated.
    EXPECT_EQ(same.Write(1).delay, delay);
    EXPECT_GE(delay, std::chrono::milliseconds(2));
    EXPECT_LE(delay, std::chrono::milliseconds(5));
    differ = differ || (i > 0 && delay != last);
    last = delay;
  }
  EXPECT_TRUE(differ);
}

TEST(FaultCursor, ADelayWithoutARangeIsTheSameEachTime) {
  FaultCursor cursor(FaultScript{.delay = absl::Milliseconds(2)});
  EXPECT_EQ(cursor.Write(1).delay, std::chrono::milliseconds(2));
  EXPECT_EQ(cursor.DrawDelay(), std::chrono::milliseconds(2));
}

TEST(FaultCursor, GivesASlowReaderLittleAtATime) {
  const FaultCursor cursor(FaultScript{.max_read = 7, .read_every = absl::Seconds(1)});
  EXPECT_EQ(cursor.Read(500), 7u);
  EXPECT_EQ(cursor.Read(3), 3u);
  EXPECT_EQ(cursor.read_every(), std::chrono::seconds(1));
}

}  // namespace
}  // namespace weft::internal
