#include "weft/rpc/client/attempt_plan.h"

namespace weft::internal {

AttemptPlan AttemptPlan::For(const StartOptions& options, const MethodInfo& method,
                             const CallOptions& call) {
  AttemptPlan plan;
  plan.idempotent = method.idempotent || call.idempotent;
  plan.retry = &options.retry;
  plan.hedging = &options.hedging;
  if (!options.method_policies.empty()) {
    // The method's policy comes second, and replaces its service's.
    for (const std::string_view name : {method.service, method.full_name}) {
      const auto it = options.method_policies.find(name);
      if (it == options.method_policies.end()) continue;
      if (it->second.retry.has_value()) plan.retry = &*it->second.retry;
      if (it->second.hedging.has_value()) plan.hedging = &*it->second.hedging;
    }
  }
  // Attempts side by side may all be executed, so only methods that may run twice are hedged.
  plan.hedged = plan.idempotent && plan.hedging->attempts > 1;
  plan.attempts = plan.hedged ? plan.hedging->attempts : plan.retry->attempts;
  // The call's own wish goes before every policy.
  if (call.max_attempts > 0) plan.attempts = call.max_attempts;
  return plan;
}

bool HasPolicies(const StartOptions& options) {
  const auto several = [](const auto& policy) { return policy.attempts > 1; };
  return several(options.retry) || several(options.hedging) ||
         std::any_of(options.method_policies.begin(), options.method_policies.end(),
                     [&](const auto& entry) {
                       const MethodPolicy& policy = entry.second;
                       return (policy.retry.has_value() && several(*policy.retry)) ||
                              (policy.hedging.has_value() && several(*policy.hedging));
                     });
}

}  // namespace weft::internal
