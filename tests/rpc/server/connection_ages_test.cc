// The states and the jitter of connection ages. Their work over whole connections is tested with
// the server's loop.
#include "weft/rpc/server/connection_ages.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/drawn_states.h"

namespace weft::internal {
namespace {

TEST(ConnectionAges, GoFromStateToStateAsTheirHeaderDraws) {
  const std::vector<std::string> states{"kOpen", "kDue", "kAnnounced"};
  EXPECT_EQ(test::DrawnIn("rpc/server/connection_ages.h", states),
            test::Allowed<ConnectionAges::State>(states, ConnectionAges::MayGo));
}

TEST(ConnectionAges, JitterIsATenthEitherWay) {
  uint64_t random = 7;
  const Nanos age = std::chrono::hours(1);
  Nanos least = Nanos::max(), most = Nanos::zero();
  // The seed is fixed, so the draws are the same in each run. So many come within a hundredth of
  // both ends.
  for (int i = 0; i < 10'000; ++i) {
    const Nanos lasts = ConnectionAges::WithJitter(age, &random);
    least = std::min(least, lasts);
    most = std::max(most, lasts);
  }
  EXPECT_GE(least, age * 9 / 10);
  EXPECT_LE(most, age * 11 / 10);
  EXPECT_LT(least, age * 91 / 100);
  EXPECT_GT(most, age * 109 / 100);
}

}  // namespace
}  // namespace weft::internal
