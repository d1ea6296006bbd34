#include "weft/rpc/client/attempt_plan.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

constexpr MethodInfo kPlain{"demo.Store", "Put", "demo.Store/Put", MethodKind::kUnary};
constexpr MethodInfo kIdempotent{
    .service = "demo.Store", .name = "Get", .full_name = "demo.Store/Get", .idempotent = true};

TEST(AttemptPlan, IsOneAttemptUnlessTold) {
  const ChannelOptions channel;
  EXPECT_FALSE(HasPolicies(channel));
  EXPECT_EQ(AttemptPlan::For(channel, kIdempotent, {}).attempts, 1);
}

TEST(AttemptPlan, HedgesOnlyWhatMayRunTwice) {
  ChannelOptions channel;
  channel.retry.attempts = 4;
  channel.hedging.attempts = 2;
  EXPECT_TRUE(HasPolicies(channel));
  const AttemptPlan get = AttemptPlan::For(channel, kIdempotent, {});
  EXPECT_TRUE(get.hedged);
  EXPECT_EQ(get.attempts, 2);
  const AttemptPlan put = AttemptPlan::For(channel, kPlain, {});
  EXPECT_FALSE(put.hedged);
  EXPECT_EQ(put.attempts, 4);
  EXPECT_TRUE(AttemptPlan::For(channel, kPlain, {.idempotent = true}).hedged);
}

TEST(AttemptPlan, TakesTheMethodsPolicyBeforeItsServices) {
  ChannelOptions channel;
  channel.method_policies["demo.Store"].retry = RetryPolicy{.attempts = 2};
  channel.method_policies["demo.Store/Get"].retry = RetryPolicy{.attempts = 5};
  channel.method_policies["demo.Store/Other"].hedging = HedgingPolicy{.attempts = 9};
  EXPECT_TRUE(HasPolicies(channel));
  EXPECT_EQ(AttemptPlan::For(channel, kPlain, {}).attempts, 2);
  EXPECT_EQ(AttemptPlan::For(channel, kIdempotent, {}).attempts, 5);
}

TEST(AttemptPlan, TakesTheCallsNumber) {
  ChannelOptions channel;
  channel.retry.attempts = 4;
  EXPECT_EQ(AttemptPlan::For(channel, kPlain, {.max_attempts = 1}).attempts, 1);
  EXPECT_EQ(AttemptPlan::For({}, kPlain, {.max_attempts = 3}).attempts, 3);
}

TEST(AttemptPlan, CoversTheCodesOfItsPolicy) {
  ChannelOptions channel;
  channel.retry.codes = {absl::StatusCode::kAborted};
  channel.hedging.attempts = 2;
  EXPECT_TRUE(AttemptPlan::For(channel, kPlain, {}).Covers(absl::StatusCode::kAborted));
  EXPECT_FALSE(AttemptPlan::For(channel, kPlain, {}).Covers(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(AttemptPlan::For(channel, kIdempotent, {}).Covers(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace weft
