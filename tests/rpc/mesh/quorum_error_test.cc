// The error of a failed broadcast, out of its peers' errors. Outside the first test the counts are
// not looked at.
#include "weft/rpc/mesh/quorum_error.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace weft::internal {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr MethodInfo kPut{"test.Kv", "Put", "test.Kv/Put"};

QuorumCount Of(int ok, int failed) {
  QuorumCount count = *QuorumCount::For(Want::Majority(), Self::kCall, 4, true);
  for (int i = 0; i < ok; ++i) count.CountOk();
  for (int i = 0; i < failed; ++i) count.CountFailure();
  return count;
}

TEST(QuorumError, NamesWhoHasFailedAndWhy) {
  QuorumError error;
  error.Add("b", absl::UnavailableError("refused"));
  error.Add("c", absl::UnavailableError("lost"));
  error.Add("d", absl::UnavailableError("lost, too"));
  const absl::Status status = error.Make(kPut, Of(2, 3));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(),
            "broadcast test.Kv/Put: 2 of 5 answered, 3 needed: b: refused; c: lost; d: lost, too");
}

TEST(QuorumError, HasTheCodeThatMostPeersHaveEndedWith) {
  QuorumError error;
  error.Add("b", absl::NotFoundError("no"));
  error.Add("c", absl::PermissionDeniedError("no"));
  // Two against one; the code that came first is not the answer.
  error.Add("d", absl::PermissionDeniedError("no"));
  EXPECT_EQ(error.Make(kPut, Of(0, 3)).code(), absl::StatusCode::kPermissionDenied);
}

TEST(QuorumError, HasTheFirstCodeAmongEquals) {
  QuorumError error;
  error.Add("b", absl::NotFoundError("no"));
  error.Add("c", absl::UnavailableError("no"));
  EXPECT_EQ(error.Make(kPut, Of(0, 3)).code(), absl::StatusCode::kNotFound);
  // The same two codes in the other order.
  QuorumError other;
  other.Add("b", absl::UnavailableError("no"));
  other.Add("c", absl::NotFoundError("no"));
  EXPECT_EQ(other.Make(kPut, Of(0, 3)).code(), absl::StatusCode::kUnavailable);
}

TEST(QuorumError, IsTheDeadlinesWhereThatEndedIt) {
  QuorumError error;
  error.Add("b", absl::UnavailableError("no"));
  error.Add("c", absl::UnavailableError("no"));
  // One against two, but the last one: it ended the broadcast.
  error.Add("d", absl::DeadlineExceededError("late"));
  EXPECT_EQ(error.Make(kPut, Of(0, 3)).code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(QuorumError, IsShortWhateverPeersSay) {
  QuorumError error;
  for (int i = 0; i < 100; ++i) {
    error.Add(absl::StrCat("node", i), absl::InternalError(std::string(10'000, 'x')));
  }
  const absl::Status status = error.Make(kPut, Of(0, 3));
  // Five failures of at most 120 bytes, and their names.
  EXPECT_LT(status.message().size(), 1000u);
  EXPECT_THAT(std::string(status.message()), HasSubstr("node4: x"));
  EXPECT_THAT(std::string(status.message()), EndsWith("; and 95 more"));
}

TEST(QuorumError, CutsNoCharacterInTwo) {
  QuorumError error;
  std::string text(QuorumError::kMaxText - 1, 'x');
  // The two bytes of the ü lie on either side of the limit.
  text += "ü and more";
  error.Add("b", absl::InternalError(text));
  const absl::Status status = error.Make(kPut, Of(0, 3));
  EXPECT_THAT(std::string(status.message()), EndsWith("x…"));
}

}  // namespace
}  // namespace weft::internal
