#include "weft/rpc/server/connection_age.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(ConnectionAge, JitterIsATenthEitherWay) {
  uint64_t random = 7;
  const Nanos age = std::chrono::hours(1);
  Nanos least = Nanos::max(), most = Nanos::zero();
  for (int i = 0; i < 10'000; ++i) {
    const Nanos lasts = ConnectionAge::WithJitter(age, &random);
    least = std::min(least, lasts);
    most = std::max(most, lasts);
  }
  EXPECT_GE(least, age * 9 / 10);
  EXPECT_LE(most, age * 11 / 10);
  EXPECT_LT(least, age * 91 / 100);
  EXPECT_GT(most, age * 109 / 100);
}

}  // namespace
}  // namespace weft
