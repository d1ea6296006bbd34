// Texts of errors that name the call and its attempt.
#include "weft/rpc/call/attempt_text.h"

#include <gtest/gtest.h>

#include "absl/strings/cord.h"

namespace weft::internal {
namespace {

constexpr MethodInfo kPut{"demo.Store", "Put", "demo.Store/Put", MethodKind::kUnary};

TEST(AttemptText, StandsBehindTheNameThatAnErrorBeginsWith) {
  EXPECT_EQ(
      WithAttempt(absl::UnavailableError("call demo.Store/Put: refused (to 10.0.0.7:80)"), kPut,
                  "attempt 2 of 3"),
      absl::UnavailableError("call demo.Store/Put: attempt 2 of 3: refused (to 10.0.0.7:80)"));
}

TEST(AttemptText, NamesTheCallOfAHandlersError) {
  absl::Status status = absl::AbortedError("no");
  status.SetPayload("type", absl::Cord("payload"));
  const absl::Status named = WithAttempt(status, kPut, "attempt 2");
  // A handler's text does not begin with the call's name.
  EXPECT_EQ(named.message(), "call demo.Store/Put: attempt 2: no");
  EXPECT_EQ(named.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(named.GetPayload("type"), absl::Cord("payload"));
  EXPECT_EQ(WithSuffix(named, "; so").message(), "call demo.Store/Put: attempt 2: no; so");
}

TEST(AttemptText, LeavesOkAlone) {
  EXPECT_TRUE(WithAttempt(absl::OkStatus(), kPut, "attempt 2").ok());
  EXPECT_TRUE(WithSuffix(absl::OkStatus(), "; so").ok());
}

}  // namespace
}  // namespace weft::internal
