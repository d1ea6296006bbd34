// The system's clock, and arithmetic of times at its far ends.
#include "weft/core/clock.h"

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

TEST(Clock, OfTheSystemDoesNotGoBack) {
  const MonoTime first = Clock::System().Now();
  EXPECT_GE(Clock::System().Now(), first);
}

TEST(Clock, ConvertsDurationsAndSaturatesInfiniteOnes) {
  EXPECT_EQ(ToNanos(absl::Milliseconds(3)), Nanos(3'000'000));
  EXPECT_EQ(ToAbsl(Nanos(1'500)), absl::Nanoseconds(1'500));
  EXPECT_EQ(ToNanos(absl::InfiniteDuration()), Nanos::max());
  EXPECT_EQ(ToNanos(-absl::InfiniteDuration()), Nanos::min());
}

TEST(Clock, AddsUpToNeverAndNotBeyond) {
  const MonoTime now(Nanos(1'000));
  EXPECT_EQ(SaturatingAdd(now, Nanos(5)), MonoTime(Nanos(1'005)));
  EXPECT_EQ(SaturatingAdd(now, Nanos(-5)), MonoTime(Nanos(995)));
  EXPECT_EQ(SaturatingAdd(now, Nanos::max()), kNever);
  EXPECT_EQ(SaturatingAdd(kNever, Nanos(1)), kNever);
  // The sum is exactly kNever; a nanosecond more would overflow.
  EXPECT_EQ(SaturatingAdd(now, Nanos::max() - Nanos(1'000)), kNever);
}

}  // namespace
}  // namespace weft::internal
