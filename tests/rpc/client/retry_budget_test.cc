// The tokens of a retry budget, taken and given back one by one.
#include "weft/rpc/client/retry_budget.h"

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

int AttemptsUntilEmpty(RetryBudget& budget) {
  int attempts = 0;
  for (; budget.Allows(); ++attempts) budget.Take();
  return attempts;
}

TEST(RetryBudget, AllowsHalfItsTokens) {
  RetryBudget budget({.tokens = 100});
  EXPECT_EQ(AttemptsUntilEmpty(budget), 50);
}

TEST(RetryBudget, AllowsOneAttemptForTenCallsThatSucceed) {
  RetryBudget budget({.tokens = 100});
  AttemptsUntilEmpty(budget);
  for (int i = 0; i < 1000; ++i) budget.GiveBack();
  EXPECT_EQ(AttemptsUntilEmpty(budget), 50) << "no more than it ever had";
  // A tenth of a token each, by default.
  for (int i = 0; i < 100; ++i) budget.GiveBack();
  EXPECT_EQ(AttemptsUntilEmpty(budget), 10);
}

TEST(RetryBudget, IsEmptyAndNotBelowIt) {
  RetryBudget budget({.tokens = 10, .per_success = 1});
  for (int i = 0; i < 1000; ++i) budget.Take();
  // Half of the tokens is not enough: there must be more.
  for (int i = 0; i < 5; ++i) budget.GiveBack();
  EXPECT_FALSE(budget.Allows());
  budget.GiveBack();
  EXPECT_TRUE(budget.Allows());
}

TEST(RetryBudget, TakesAnySettings) {
  RetryBudget none({.tokens = -1, .per_success = -1});
  EXPECT_TRUE(none.Allows());
  none.Take();
  none.GiveBack();
  EXPECT_FALSE(none.Allows());
  RetryBudget large({.tokens = 2'000'000'000, .per_success = 1e300});
  large.Take();
  large.GiveBack();
  EXPECT_TRUE(large.Allows());
}

}  // namespace
}  // namespace weft::internal
