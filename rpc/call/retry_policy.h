// When a call is tried again, and when it is tried twice at once.
//
// Both do only what is safe. An attempt that certainly was not executed is repeated; any other one
// only if its method may run twice (`option (weft.idempotent)`, CallOptions::idempotent). Both stay
// inside the channel's budget, see rpc/client/retry_budget.h.
//
// Threads  value
#ifndef WEFT_RPC_CALL_RETRY_POLICY_H_
#define WEFT_RPC_CALL_RETRY_POLICY_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/core/requirements.h"

namespace weft {

struct RetryPolicy {
  // Attempts of one call, the first one included. 1: it is not tried again.
  int attempts = 1;
  // The wait before the second attempt; each one after it is longer by the factor, up to the most,
  // and each is up to `jitter` (a share) longer or shorter. A wait that the server asks for
  // (ServerContext::RetryAfter) goes before it. Zero: no wait. A wait beyond the call's deadline,
  // as an infinite one, is not begun: the last end is the call's. Negative: refused.
  absl::Duration backoff = absl::Milliseconds(20);
  double backoff_factor = 1.6;
  absl::Duration max_backoff = absl::Seconds(1);
  double backoff_jitter = 0.2;
  // Ends with one of these codes are tried again; others are the call's answer.
  std::vector<absl::StatusCode> codes = {absl::StatusCode::kUnavailable};
};

// Only for methods that may run twice; for others the RetryPolicy holds.
struct HedgingPolicy {
  // Attempts of one call, the first one included. 1: no second one is started.
  int attempts = 1;
  // How long an attempt is waited for before the next one starts beside it. Zero: they start
  // together. Infinite: the next one starts only after an end with one of `codes`. Negative:
  // refused.
  absl::Duration delay = absl::Milliseconds(100);
  // Ends with one of these codes are no answer while there are other attempts: the next one starts
  // at once.
  std::vector<absl::StatusCode> codes = {absl::StatusCode::kUnavailable};
};

// For a method, or a service, in place of the channel's.
struct MethodPolicy {
  std::optional<RetryPolicy> retry;
  std::optional<HedgingPolicy> hedging;
};
// By full name, "demo.Store/Get", or by service, "demo.Store"; the method's goes before its
// service's.
using MethodPolicies = std::map<std::string, MethodPolicy, std::less<>>;

struct RetryBudgetOptions {
  // How many attempts may fail in a row before only the first attempt of each call is made: half of
  // these. The most is a million.
  int tokens = 100;
  // Each successful call gives back this much: a tenth of a token, so that the attempts beyond the
  // first are at most a tenth of the calls that succeed, and half the tokens.
  double per_success = 0.1;
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_RETRY_POLICY_H_
