// A shared limit of input bytes, and the text of a refusal.
#include "weft/core/input_budget.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::internal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(InputBudget, RefusesWhatGoesBeyondWithTheNumbersAndTheSetting) {
  InputBudget budget(1'000, "max_input_bytes of the server");
  EXPECT_TRUE(budget.Check(1'000).ok());
  budget.Change(0, 600);
  EXPECT_TRUE(budget.Check(400).ok());
  const absl::Status refused = budget.Check(401);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()),
              AllOf(HasSubstr("600 bytes"), HasSubstr("401 more"), HasSubstr("the limit of 1000"),
                    HasSubstr("max_input_bytes of the server")));
  budget.Change(600, 0);
  EXPECT_EQ(budget.held(), 0u);
  // The sum would overflow to a small number.
  EXPECT_FALSE(budget.Check(SIZE_MAX).ok()) << "nothing is larger than all there is";
}

TEST(InputBudget, WithoutALimitRefusesNothing) {
  InputBudget budget(0, "x");
  budget.Change(0, size_t{1} << 40);
  EXPECT_TRUE(budget.Check(size_t{1} << 40).ok());
}

}  // namespace
}  // namespace weft::internal
