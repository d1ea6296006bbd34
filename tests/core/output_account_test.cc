// How the bytes of one output queue reach the budget that it shares.
#include "weft/core/output_account.h"

#include <memory>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

constexpr size_t kStep = OutputBudget::kStep;

TEST(OutputAccount, TellsTheBudgetInSteps) {
  auto budget = std::make_shared<OutputBudget>(0);
  OutputAccount account(budget);
  account.SetMore(kStep - 1);
  EXPECT_EQ(budget->held(), 0u);
  account.SetMore(kStep + 5);
  EXPECT_EQ(budget->held(), kStep + 5);
  EXPECT_EQ(account.counted(), kStep + 5);
  account.Set(6);
  EXPECT_EQ(budget->held(), kStep + 5) << "less than a step away";
  account.Set(5);
  EXPECT_EQ(budget->held(), 5u);
  account.Set(0);
  EXPECT_EQ(budget->held(), 0u) << "nothing is left";
}

TEST(OutputAccount, ChecksWhatTheBudgetDoesNotKnowYet) {
  OutputAccount account(std::make_shared<OutputBudget>(2 * kStep));
  EXPECT_FALSE(account.NeedsCheck(0, kStep));
  EXPECT_TRUE(account.NeedsCheck(1, kStep));
  // The budget knows of no bytes yet, so the account adds the queue's own to it.
  EXPECT_EQ(account.Check(kStep, kStep, "server", "the reply's"), absl::OkStatus());
  EXPECT_EQ(account.Check(kStep + 1, kStep, "server", "the reply's").code(),
            absl::StatusCode::kResourceExhausted);
  // The budget knows of these bytes now, so they may not be added a second time.
  account.SetMore(kStep);
  EXPECT_EQ(account.Check(kStep, kStep, "server", "the reply's"), absl::OkStatus());
  account.Set(0);
}

TEST(OutputAccount, WithoutABudgetNothingIsOverIt) {
  OutputAccount account(nullptr);
  account.SetMore(10 * kStep);
  EXPECT_FALSE(account.NeedsCheck(10 * kStep, kStep));
  EXPECT_EQ(account.Check(10 * kStep, kStep, "server", "the reply's"), absl::OkStatus());
}

}  // namespace
}  // namespace weft::internal
