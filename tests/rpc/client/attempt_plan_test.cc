// How options of a channel, a service, a method and a call become one plan.
#include "weft/rpc/client/attempt_plan.h"

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

constexpr MethodInfo kPlain{"demo.Store", "Put", "demo.Store/Put", MethodKind::kUnary};
constexpr MethodInfo kIdempotent{
    .service = "demo.Store", .name = "Get", .full_name = "demo.Store/Get", .idempotent = true};

TEST(AttemptPlan, IsOneAttemptUnlessTold) {
  const StartOptions options;
  EXPECT_FALSE(HasPolicies(options));
  EXPECT_EQ(AttemptPlan::For(options, kIdempotent, {}).attempts, 1);
}

TEST(AttemptPlan, HedgesOnlyWhatMayRunTwice) {
  StartOptions options;
  options.retry.attempts = 4;
  options.hedging.attempts = 2;
  EXPECT_TRUE(HasPolicies(options));
  const AttemptPlan get = AttemptPlan::For(options, kIdempotent, {});
  EXPECT_TRUE(get.hedged);
  EXPECT_EQ(get.attempts, 2);
  // Two at once may both be executed, so this one is left to the retry policy.
  const AttemptPlan put = AttemptPlan::For(options, kPlain, {});
  EXPECT_FALSE(put.hedged);
  EXPECT_EQ(put.attempts, 4);
  // The caller may know that this call does no harm twice.
  EXPECT_TRUE(AttemptPlan::For(options, kPlain, {.idempotent = true}).hedged);
}

TEST(AttemptPlan, TakesTheMethodsPolicyBeforeItsServices) {
  StartOptions options;
  options.method_policies["demo.Store"].retry = RetryPolicy{.attempts = 2};
  options.method_policies["demo.Store/Get"].retry = RetryPolicy{.attempts = 5};
  options.method_policies["demo.Store/Other"].hedging = HedgingPolicy{.attempts = 9};
  EXPECT_TRUE(HasPolicies(options));
  // The plain method has no policy of its own, so its service's holds.
  EXPECT_EQ(AttemptPlan::For(options, kPlain, {}).attempts, 2);
  EXPECT_EQ(AttemptPlan::For(options, kIdempotent, {}).attempts, 5);
}

TEST(AttemptPlan, TakesTheCallsNumber) {
  StartOptions options;
  options.retry.attempts = 4;
  EXPECT_EQ(AttemptPlan::For(options, kPlain, {.max_attempts = 1}).attempts, 1);
  EXPECT_EQ(AttemptPlan::For({}, kPlain, {.max_attempts = 3}).attempts, 3);
}

TEST(AttemptPlan, CoversTheCodesOfItsPolicy) {
  StartOptions options;
  // The hedging policy has codes of its own, with the default.
  options.retry.codes = {absl::StatusCode::kAborted};
  options.hedging.attempts = 2;
  EXPECT_TRUE(AttemptPlan::For(options, kPlain, {}).Covers(absl::StatusCode::kAborted));
  EXPECT_FALSE(AttemptPlan::For(options, kPlain, {}).Covers(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(AttemptPlan::For(options, kIdempotent, {}).Covers(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace weft::internal
