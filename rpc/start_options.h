// The settings for calls that do not set them: on a channel, and on the target with which a handler
// calls its caller. Every member has a default.
//
// Threads  value
#ifndef WEFT_RPC_START_OPTIONS_H_
#define WEFT_RPC_START_OPTIONS_H_

#include "absl/time/time.h"
#include "weft/rpc/base/compression.h"
#include "weft/rpc/call/interceptor.h"
#include "weft/rpc/call/retry_policy.h"

namespace weft {

struct StartOptions {
  // How long a call may take where neither it nor its method says. absl::InfiniteDuration(): no
  // limit. Zero or negative: refused, for each such call would have expired.
  absl::Duration timeout = absl::Seconds(10);
  // When a call is tried again, and when a second attempt starts beside the first; for some methods
  // or services other than for the rest. See rpc/call/retry_policy.h.
  RetryPolicy retry = {};
  HedgingPolicy hedging = {};
  MethodPolicies method_policies = {};
  // How many attempts beyond the first all calls may make together.
  RetryBudgetOptions retry_budget = {};
  // The codec of requests whose call names none: CallOptions::compression.
  Compression compression = Compression::kNone;
  // Around every call, in this order; see rpc/call/interceptor.h.
  ClientInterceptors interceptors = {};
};

}  // namespace weft

#endif  // WEFT_RPC_START_OPTIONS_H_
