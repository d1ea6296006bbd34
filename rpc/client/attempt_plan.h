// The outcome of all policies for one call: how many attempts, one after another or side by side.
//
// Threads  value; refers to the options
#ifndef WEFT_RPC_CLIENT_ATTEMPT_PLAN_H_
#define WEFT_RPC_CLIENT_ATTEMPT_PLAN_H_

#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "weft/rpc/base/method.h"
#include "weft/rpc/call/call_options.h"
#include "weft/rpc/call/retry_policy.h"
#include "weft/rpc/start_options.h"

namespace weft::internal {

struct AttemptPlan {
  int attempts = 1;
  bool hedged = false;
  bool idempotent = false;
  // Not null after For.
  const RetryPolicy* retry = nullptr;
  const HedgingPolicy* hedging = nullptr;  // when hedged

  // True if an end with `code` is to be tried again.
  bool Covers(absl::StatusCode code) const {
    const std::vector<absl::StatusCode>& codes = hedged ? hedging->codes : retry->codes;
    return std::find(codes.begin(), codes.end(), code) != codes.end();
  }

  static AttemptPlan For(const StartOptions& options, const MethodInfo& method,
                         const CallOptions& call);
};

// True if calls may have several attempts without asking for them.
bool HasPolicies(const StartOptions& options);

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_ATTEMPT_PLAN_H_
