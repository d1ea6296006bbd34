// When the outcome of a broadcast is certain. The first test walks all orders of ends and decides
// by itself what is to come out; the others show single rules.
#include "weft/rpc/mesh/quorum_count.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace weft {
namespace {

using ::testing::HasSubstr;
using Outcome = QuorumCount::Outcome;

enum class End { kOk, kFailure, kSkip };
constexpr End kEnds[] = {End::kOk, End::kFailure, End::kSkip};

Outcome Count(QuorumCount& count, End end) {
  switch (end) {
    case End::kOk:
      return count.CountOk();
    case End::kFailure:
      return count.CountFailure();
    case End::kSkip:
      break;
  }
  return count.CountSkip();
}

// Walks every order of ends from `count` on. At each step it is to be open exactly where both
// outcomes can still come; `ok` of `needed` have answered well, and `open` have not ended.
void Walk(const QuorumCount& count, int ok, int needed, int open, bool each, int* ends) {
  const Outcome expected = each && open > 0     ? Outcome::kOpen
                           : ok >= needed       ? Outcome::kReached
                           : ok + open < needed ? Outcome::kHopeless
                                                : Outcome::kOpen;
  ASSERT_EQ(count.outcome(), expected)
      << ok << " of " << needed << " have answered, " << open << " have not ended";
  ASSERT_EQ(count.ok(), ok);
  ASSERT_EQ(count.open(), open);
  if (open == 0) {
    ++*ends;
    return;
  }
  for (const End end : kEnds) {
    QuorumCount next = count;
    const Outcome said = Count(next, end);
    ASSERT_EQ(said, next.outcome());
    Walk(next, ok + (end == End::kOk ? 1 : 0), needed, open - 1, each, ends);
  }
}

int PowerOf3(int n) { return n == 0 ? 1 : 3 * PowerOf3(n - 1); }

TEST(QuorumCount, IsCertainExactlyWhenNothingThatComesCanChangeIt) {
  for (int others = 0; others <= 6; ++others) {
    for (const Self self : {Self::kCall, Self::kCountsItself, Self::kLeftOut}) {
      std::vector<Want> wants = {Want::All(), Want::Majority(), Want::First(), Want::Each()};
      for (int k = 1; k <= others + 1; ++k) wants.push_back(Want::AtLeast(k));
      for (const Want want : wants) {
        const absl::StatusOr<QuorumCount> count = QuorumCount::For(want, self, others, true);
        const bool majority = want.kind() == Want::Kind::kMajority;
        // A majority counts this node even if it takes no part.
        const int members = others + (self != Self::kLeftOut || majority ? 1 : 0);
        const int callable = others + (self == Self::kCall ? 1 : 0);
        const int ok = self == Self::kCountsItself ? 1 : 0;
        const int needed = majority                              ? members / 2 + 1
                           : want.kind() == Want::Kind::kFirst   ? 1
                           : want.kind() == Want::Kind::kAtLeast ? want.CountOf(0)
                                                                 : members;
        // So many answers cannot come, whoever is called.
        if (needed > callable + ok) {
          EXPECT_EQ(count.status().code(), absl::StatusCode::kFailedPrecondition);
          continue;
        }
        ASSERT_TRUE(count.ok()) << count.status();
        EXPECT_EQ(count->members(), members);
        EXPECT_EQ(count->needed(), needed);
        int ends = 0;
        Walk(*count, ok, needed, callable, want.kind() == Want::Kind::kEach, &ends);
        EXPECT_EQ(ends, PowerOf3(callable)) << "an order was not walked to its end";
        // One broken rule would fail in thousands of orders.
        if (HasFailure()) return;
      }
    }
  }
}

TEST(QuorumCount, CountsWhoIsSkippedAmongTheMembers) {
  QuorumCount count = *QuorumCount::For(Want::Majority(), Self::kCall, 4, true);
  count.CountSkip();
  count.CountSkip();
  count.CountOk();
  // Two of five have answered, three are needed, and one call is open.
  EXPECT_EQ(count.CountOk(), Outcome::kOpen);
  EXPECT_EQ(count.CountSkip(), Outcome::kHopeless);
  EXPECT_EQ(count.members(), 5);
  EXPECT_EQ(count.skipped(), 3);
}

TEST(QuorumCount, StaysCertainWhateverComesLater) {
  QuorumCount count = *QuorumCount::For(Want::First(), Self::kLeftOut, 3, true);
  EXPECT_EQ(count.CountOk(), Outcome::kReached);
  EXPECT_EQ(count.CountFailure(), Outcome::kReached);
  EXPECT_EQ(count.CountFailure(), Outcome::kReached);
  EXPECT_EQ(count.failed(), 2);
  EXPECT_EQ(count.open(), 0);
}

TEST(QuorumCount, ALoneNodeIsAMajorityOfItself) {
  const auto alone = QuorumCount::For(Want::Majority(), Self::kCountsItself, 0, true);
  ASSERT_TRUE(alone.ok());
  EXPECT_EQ(alone->outcome(), Outcome::kReached);
}

TEST(QuorumCount, NobodyToTellIsAllThatThereIs) {
  EXPECT_EQ(QuorumCount::For(Want::All(), Self::kUnsaid, 0, true)->outcome(), Outcome::kReached);
  EXPECT_EQ(QuorumCount::For(Want::Each(), Self::kUnsaid, 0, false)->outcome(), Outcome::kReached);
}

TEST(QuorumCount, AMajorityAsksWhatIsToBecomeOfOneself) {
  const auto count = QuorumCount::For(Want::Majority(), Self::kUnsaid, 2, true);
  EXPECT_EQ(count.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(count.status().message(), HasSubstr("Self::kCountsItself"));
  // A node that is no member has nothing to say about itself.
  EXPECT_TRUE(QuorumCount::For(Want::Majority(), Self::kUnsaid, 2, false).ok());
}

TEST(QuorumCount, MoreThanThereAreIsRefusedWithBothNumbers) {
  const auto count = QuorumCount::For(Want::AtLeast(9), Self::kCall, 2, true);
  EXPECT_EQ(count.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(count.status().message(), HasSubstr("9 answers are wanted, and only 3 of 3"));
  // Nobody is there to be the first.
  EXPECT_EQ(QuorumCount::For(Want::First(), Self::kUnsaid, 0, true).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(QuorumCount, LessThanOneIsRefused) {
  for (const int k : {0, -1}) {
    EXPECT_EQ(QuorumCount::For(Want::AtLeast(k), Self::kCall, 2, true).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(QuorumCount, OneWhoIsNoMemberCannotCount) {
  for (const Self self : {Self::kCall, Self::kCountsItself}) {
    EXPECT_EQ(QuorumCount::For(Want::All(), self, 2, false).status().code(),
              absl::StatusCode::kFailedPrecondition);
  }
}

}  // namespace
}  // namespace weft
