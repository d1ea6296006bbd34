// The limits that servers and channels of a history have in common.
//
// Threads  any
#ifndef WEFT_TESTS_HISTORY_SESSION_LIMITS_H_
#define WEFT_TESTS_HISTORY_SESSION_LIMITS_H_

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "weft/rpc/channel_options.h"
#include "weft/rpc/protocol/session_limits.h"
#include "weft/rpc/server.h"

namespace weft::test {

inline SessionLimits HistoryLimits() {
  SessionLimits limits;
  // Low limits and short times: refusals and silent peers are to come often.
  limits.max_calls = 300;
  limits.handshake_timeout = absl::Milliseconds(300);
  limits.heartbeat_interval = absl::Milliseconds(100);
  limits.heartbeat_misses = 1;
  // Streams wait for credit often. All that can be under way fit into a connection's, large
  // messages too: else those that wait for one another's credit could wait for ever.
  limits.stream_window_bytes = 8 << 10;
  limits.connection_window_bytes = 16 << 20;
  return limits;
}

// Options of one of the three channels to a server. The first tries calls once, the second up to
// three times, and the third tries twice at once where that is allowed.
inline ChannelOptions HistoryChannelOptions(size_t kind) {
  ChannelOptions options;
  options.connect_timeout = absl::Milliseconds(300);
  options.backoff = absl::Milliseconds(1);
  options.max_backoff = absl::Milliseconds(20);
  options.limits = HistoryLimits();
  // Every success pays for a retry, so the budget seldom stops them.
  options.retry_budget.per_success = 1;
  if (kind >= 1) {
    options.retry.attempts = 3;
    options.retry.backoff = absl::Milliseconds(1);
  }
  if (kind >= 2) {
    options.hedging.attempts = 2;
    options.hedging.delay = absl::Milliseconds(1);
  }
  return options;
}

// Connections that the server ended because of what came on them.
inline int64_t FramingFaultsOf(const Server& server) {
  int64_t faults = 0;
  for (const CloseReason reason : {CloseReason::kUnknownProtocol, CloseReason::kVersion,
                                   CloseReason::kFrameTooLong, CloseReason::kBadFrame}) {
    faults += server.closed(reason);
  }
  return faults;
}

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_SESSION_LIMITS_H_
