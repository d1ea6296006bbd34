// Checks the durations of the options that calls are started by, and of a session's limits.
//
// Threads  value; functions without state
// Errors   as DurationCheck
#ifndef WEFT_RPC_PROTOCOL_OPTION_DURATIONS_H_
#define WEFT_RPC_PROTOCOL_OPTION_DURATIONS_H_

#include "absl/status/status.h"
#include "weft/rpc/call/retry_policy.h"
#include "weft/rpc/protocol/session_limits.h"

namespace weft::internal {

absl::Status CheckDurations(const SessionLimits& limits);
absl::Status CheckDurations(const RetryPolicy& policy);
absl::Status CheckDurations(const HedgingPolicy& policy);
absl::Status CheckDurations(const MethodPolicies& policies);

// `Options`: ChannelOptions or StartOptions.
template <typename Options>
absl::Status CheckStartDurations(const Options& options) {
  absl::Status s = CheckDurations(options.retry);
  s.Update(CheckDurations(options.hedging));
  s.Update(CheckDurations(options.method_policies));
  return s;
}

}  // namespace weft::internal

#endif  // WEFT_RPC_PROTOCOL_OPTION_DURATIONS_H_
