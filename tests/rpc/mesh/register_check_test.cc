#include "weft/rpc/mesh/register_check.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "weft/core/random_bits.h"

namespace weft::internal {
namespace {

using Operation = RegisterCheck::Operation;

Operation Write(const std::string& value, uint64_t began, uint64_t ended = RegisterCheck::kNoEnd) {
  return {.is_write = true, .value = value, .began = began, .ended = ended};
}
Operation Read(std::optional<std::string> value, uint64_t began, uint64_t ended) {
  return {.value = std::move(value), .began = began, .ended = ended};
}
// An order exists; within the limit of sets nothing in these tests is given up.
bool Fits(const std::vector<Operation>& operations) {
  return !RegisterCheck::FirstMisfit(operations).has_value();
}

TEST(RegisterCheck, TakesWhatIsInOrder) {
  EXPECT_TRUE(Fits({}));
  EXPECT_TRUE(Fits({Read(std::nullopt, 1, 2), Write("a", 3, 4), Read("a", 5, 6)}));
}

TEST(RegisterCheck, RefusesAnOldValue) {
  EXPECT_FALSE(Fits({Write("a", 1, 2), Write("b", 3, 4), Read("a", 5, 6)}));
  EXPECT_FALSE(Fits({Write("a", 1, 2), Read(std::nullopt, 3, 4)}));
}

TEST(RegisterCheck, RefusesAValueFromTheFuture) {
  EXPECT_FALSE(Fits({Read("a", 1, 2), Write("a", 3, 4)}));
  EXPECT_FALSE(Fits({Read("a", 1, 2)}));
}

TEST(RegisterCheck, LetsThoseAtOnceChooseTheirOrder) {
  EXPECT_TRUE(Fits({Write("a", 1, 10), Read("a", 2, 9)}));
  EXPECT_TRUE(Fits({Write("a", 1, 10), Read(std::nullopt, 2, 9)}));
  EXPECT_TRUE(Fits({Write("a", 1, 10), Write("b", 2, 9), Read("a", 11, 12)}));
  EXPECT_TRUE(Fits({Write("a", 1, 10), Write("b", 2, 9), Read("b", 11, 12)}));
}

TEST(RegisterCheck, TwoReadersMustAgreeOnTheOrder) {
  // Both writes are over when the reads begin: only one of them was the last.
  EXPECT_FALSE(Fits({Write("a", 1, 10), Write("b", 2, 9), Read("a", 11, 12), Read("b", 13, 14)}));
  // A read saw the new value, a later one the old.
  EXPECT_FALSE(Fits({Write("a", 1, 2), Write("b", 3, 20), Read("b", 4, 5), Read("a", 6, 7)}));
}

TEST(RegisterCheck, AWriteWithoutAnEndMayBeSeenLateOrNever) {
  EXPECT_TRUE(Fits({Write("a", 1), Read(std::nullopt, 2, 3), Read(std::nullopt, 4, 5)}));
  EXPECT_TRUE(Fits({Write("a", 1), Read(std::nullopt, 2, 3), Read("a", 4, 5)}));
  EXPECT_TRUE(Fits({Write("a", 1), Write("b", 2, 3), Read("b", 4, 5), Read("a", 6, 7)}));
  EXPECT_FALSE(Fits({Write("a", 1), Read("a", 2, 3), Read(std::nullopt, 4, 5)}))
      << "seen, and then gone";
}

TEST(RegisterCheck, NamesTheOneThatDoesNotFit) {
  EXPECT_EQ(RegisterCheck::FirstMisfit({Write("a", 1, 2), Read("a", 3, 4), Write("b", 5, 6),
                                        Read("a", 7, 8), Read("b", 9, 10)}),
            3u);
}

// Tries every order: what the search is compared with.
bool FitsInSomeOrder(const std::vector<Operation>& operations) {
  const size_t n = operations.size();
  for (uint32_t left_out = 0; left_out < (1u << n); ++left_out) {
    std::vector<size_t> order;
    bool allowed = true;
    for (size_t i = 0; i < n; ++i) {
      const bool out = (left_out >> i & 1) != 0;
      // Only an operation without an end may never have happened.
      if (out && operations[i].ended != RegisterCheck::kNoEnd) allowed = false;
      if (!out) order.push_back(i);
    }
    if (!allowed) continue;
    do {
      bool fits = true;
      std::optional<std::string> value;
      for (size_t i = 0; i < order.size() && fits; ++i) {
        const Operation& one = operations[order[i]];
        for (size_t later = i + 1; later < order.size(); ++later) {
          if (operations[order[later]].ended < one.began) fits = false;
        }
        if (one.is_write) {
          value = one.value;
        } else if (one.value != value) {
          fits = false;
        }
      }
      if (fits) return true;
    } while (std::next_permutation(order.begin(), order.end()));
  }
  return false;
}

TEST(RegisterCheck, FindsWhatTryingEveryOrderFinds) {
  uint64_t random = 7;
  int fit = 0;
  for (int round = 0; round < 4'000; ++round) {
    const size_t n = 1 + NextRandomBits(&random) % 6;
    std::vector<uint64_t> moments(2 * n);
    // All moments differ. Drawn in pairs, they overlap in every way.
    std::iota(moments.begin(), moments.end(), 1);
    for (size_t i = moments.size(); i > 1; --i) {
      std::swap(moments[i - 1], moments[NextRandomBits(&random) % i]);
    }
    std::vector<Operation> operations;
    for (size_t i = 0; i < n; ++i) {
      Operation one;
      one.began = std::min(moments[2 * i], moments[2 * i + 1]);
      one.ended = std::max(moments[2 * i], moments[2 * i + 1]);
      one.is_write = NextRandomBits(&random) % 2 == 0;
      const uint64_t value = NextRandomBits(&random) % 4;
      // Few values, so that several writes often write the same one. A fourth of the reads finds
      // nothing written.
      if (one.is_write || value > 0) one.value = absl::StrCat(value % 3);
      if (one.is_write && NextRandomBits(&random) % 3 == 0) one.ended = RegisterCheck::kNoEnd;
      operations.push_back(one);
    }
    const bool expected = FitsInSomeOrder(operations);
    fit += expected ? 1 : 0;
    ASSERT_EQ(Fits(operations), expected) << "round " << round;
  }
  // Both answers are frequent enough to be tested.
  EXPECT_GT(fit, 400);
  EXPECT_LT(fit, 3'600);
}

TEST(RegisterCheck, ManyAtOnceTakeNoTime) {
  // Thirty writes without an end whose values were read: without the memo every subset's every
  // order.
  std::vector<Operation> operations;
  uint64_t moment = 0;
  for (int i = 0; i < 30; ++i) operations.push_back(Write(absl::StrCat(i), ++moment));
  for (int i = 29; i >= 0; --i) {
    operations.push_back(Read(absl::StrCat(i), moment + 1, moment + 2));
    moment += 2;
  }
  EXPECT_TRUE(Fits(operations));
  operations.push_back(Read("29", moment + 1, moment + 2));
  EXPECT_FALSE(Fits(operations));
}

TEST(RegisterCheck, GivesUpWhereTooManyAreAtOnce) {
  // Writes that are all at once, and a read of a value that none of them wrote: every set of them
  // has to be tried with every value.
  std::vector<Operation> operations;
  for (uint64_t i = 1; i <= 30; ++i) operations.push_back(Write(absl::StrCat(i), i, 100 + i));
  operations.push_back(Read("never", 200, 201));
  const RegisterCheck::Finding finding = RegisterCheck::Search(operations, 10'000);
  EXPECT_TRUE(finding.gave_up);
  EXPECT_EQ(finding.misfit, std::nullopt);
  // An order that is found early is found.
  operations.back() = Read("30", 200, 201);
  EXPECT_FALSE(RegisterCheck::Search(operations, 10'000).gave_up);
}

TEST(RegisterCheck, ALongHistoryTakesAStepForEach) {
  constexpr uint64_t kMany = 100'000;
  std::vector<Operation> operations;
  operations.push_back(Write("late", 1));  // without an end, and seen at last
  for (uint64_t i = 1; i <= kMany; ++i) {
    // Two at once, always.
    operations.push_back(i % 2 == 0 ? Read(absl::StrCat(i - 1), 4 * i, 4 * i + 5)
                                    : Write(absl::StrCat(i), 4 * i, 4 * i + 5));
  }
  operations.push_back(Read("late", 5 * kMany, 5 * kMany + 1));
  const RegisterCheck::Finding finding = RegisterCheck::Search(operations, 4 * kMany);
  EXPECT_FALSE(finding.gave_up);
  EXPECT_EQ(finding.misfit, std::nullopt);
}

}  // namespace
}  // namespace weft::internal
