#include "weft/rpc/protocol/option_durations.h"

#include "weft/core/duration_check.h"

namespace weft::internal {

absl::Status CheckDurations(const SessionLimits& limits) {
  return DurationCheck::All("SessionLimits", {{"max_message_pause", limits.max_message_pause},
                                              {"handshake_timeout", limits.handshake_timeout,
                                               // Zero would end every handshake; in the other two
                                               // it means "no limit" and "never".
                                               DurationCheck::Takes::kAboveZero},
                                              {"heartbeat_interval", limits.heartbeat_interval}});
}

absl::Status CheckDurations(const RetryPolicy& policy) {
  return DurationCheck::All("RetryPolicy",
                            {{"backoff", policy.backoff}, {"max_backoff", policy.max_backoff}});
}

absl::Status CheckDurations(const HedgingPolicy& policy) {
  return DurationCheck::All("HedgingPolicy", {{"delay", policy.delay}});
}

absl::Status CheckDurations(const MethodPolicies& policies) {
  for (const auto& [name, policy] : policies) {
    if (policy.retry.has_value()) {
      if (absl::Status s = CheckDurations(*policy.retry); !s.ok()) return s;
    }
    if (policy.hedging.has_value()) {
      if (absl::Status s = CheckDurations(*policy.hedging); !s.ok()) return s;
    }
  }
  return absl::OkStatus();
}

}  // namespace weft::internal
