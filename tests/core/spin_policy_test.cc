// How long an idle loop polls before it sleeps, after the outcomes of its last idle periods. No
// time passes: the tests say how long each period lasted.
#include "weft/core/spin_policy.h"

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

constexpr Nanos kLimit = microseconds(50);

TEST(SpinPolicy, NeverSpinsWithoutALimit) {
  SpinPolicy policy(Nanos::zero());
  EXPECT_EQ(policy.Budget(), Nanos::zero());
  policy.Caught();
  policy.Slept(Nanos::zero());
  EXPECT_EQ(policy.Budget(), Nanos::zero());
}

TEST(SpinPolicy, SpinsTheWholeLimitWhileEventsCome) {
  SpinPolicy policy(kLimit);
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_EQ(policy.Budget(), kLimit);
    policy.Caught();
  }
}

TEST(SpinPolicy, AnIdleLoopSpinsOnceAndThenSleeps) {
  SpinPolicy policy(kLimit);
  EXPECT_EQ(policy.Budget(), kLimit);
  policy.Missed();
  policy.Slept(seconds(1));
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_EQ(policy.Budget(), Nanos::zero());
    policy.Slept(seconds(1));
  }
}

TEST(SpinPolicy, MissesDoubleTheSleepsUpToABound) {
  SpinPolicy policy(kLimit);
  int expected = 1;
  for (int miss = 0; miss < 12; ++miss) {
    ASSERT_EQ(policy.Budget(), kLimit);
    policy.Missed();
    policy.Slept(kLimit);  // short enough to stay promising
    int skipped = 0;
    for (; skipped <= 2 * SpinPolicy::kMaxSkipped; ++skipped) {
      // Use a copy, since Budget counts a skipped period down.
      SpinPolicy peek = policy;
      if (peek.Budget() > Nanos::zero()) break;
      (void)policy.Budget();
      policy.Slept(kLimit);
    }
    EXPECT_EQ(skipped, expected);
    expected = expected * 2 < SpinPolicy::kMaxSkipped ? expected * 2 : SpinPolicy::kMaxSkipped;
  }
}

TEST(SpinPolicy, OneCaughtEventForgivesTheMisses) {
  SpinPolicy policy(kLimit);
  // After an event was caught, the next miss costs a single skipped period again.
  for (int i = 0; i < 5; ++i) policy.Missed();
  policy.Caught();
  EXPECT_EQ(policy.Budget(), kLimit);
  policy.Missed();
  EXPECT_EQ(policy.Budget(), Nanos::zero());
  EXPECT_EQ(policy.Budget(), kLimit);
}

TEST(SpinPolicy, AShortSleepPromisesAgain) {
  SpinPolicy policy(kLimit);
  policy.Slept(seconds(1));
  EXPECT_EQ(policy.Budget(), Nanos::zero());
  // The first sleep is a nanosecond too long to promise anything, the second is just short enough.
  policy.Slept(kLimit * SpinPolicy::kPromise + Nanos(1));
  EXPECT_EQ(policy.Budget(), Nanos::zero());
  policy.Slept(kLimit * SpinPolicy::kPromise);
  EXPECT_EQ(policy.Budget(), kLimit);
}

}  // namespace
}  // namespace weft::internal
