// The settings of a channel. Every member has a default.
//
// Threads  value
#ifndef WEFT_RPC_CHANNEL_OPTIONS_H_
#define WEFT_RPC_CHANNEL_OPTIONS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "weft/core/runtime.h"
#include "weft/rpc/base/compression.h"
#include "weft/rpc/call/interceptor.h"
#include "weft/rpc/call/retry_policy.h"
#include "weft/rpc/protocol/authenticator.h"
#include "weft/rpc/protocol/connection_info.h"
#include "weft/rpc/protocol/protocol.h"
#include "weft/rpc/protocol/session_limits.h"

namespace weft {

class InProcessNetwork;
class TransportFactory;

class Service;

// Create refuses a negative duration, and any other that a comment says so of, with
// INVALID_ARGUMENT.
struct ChannelOptions {
  // Shared with others: 256 channels then need one I/O thread, not 256. Null: a private one with
  // one I/O thread.
  std::shared_ptr<Runtime> runtime = nullptr;
  // The level of its log, and where the lines go; what is unset is the runtime's, see Channel::log.
  LogOptions log = {};
  // For "inproc:name": calls travel through memory, with the faults of a test. Null: sockets only.
  std::shared_ptr<InProcessNetwork> network = nullptr;
  // Wraps every connection, whose handshake then is part of connect_timeout. Null: bytes travel as
  // they are.
  std::shared_ptr<TransportFactory> transport = nullptr;
  // How long a call may take where neither it nor its method says. absl::InfiniteDuration(): no
  // limit. Zero: refused, for each such call would have expired.
  absl::Duration timeout = absl::Seconds(10);
  // For one attempt to connect: resolving the name, which may take two thirds of it, connecting to
  // its addresses in turn, the handshakes. Infinite: no limit but the system's and
  // limits.handshake_timeout. Zero: refused.
  absl::Duration connect_timeout = absl::Seconds(3);
  // After a failed attempt the next one waits: at first this long, each time longer by the factor,
  // up to the most, and each wait up to `backoff_jitter` (a share) longer or shorter, so that many
  // clients do not come at once. Where the server refuses this side's token the first wait is a
  // second, if the most allows it. Zero: it does not wait. Infinite: it waits for ever.
  absl::Duration backoff = absl::Milliseconds(50);
  double backoff_factor = 1.6;
  absl::Duration max_backoff = absl::Seconds(10);
  double backoff_jitter = 0.2;
  // When a call is tried again, and when a second attempt starts beside the first; for some methods
  // or services other than for the rest. See rpc/call/retry_policy.h.
  RetryPolicy retry = {};
  HedgingPolicy hedging = {};
  MethodPolicies method_policies = {};
  // How many attempts beyond the first all calls may make together.
  RetryBudgetOptions retry_budget = {};
  // The protocol to speak to the server; it must dial. Not set: the first of DefaultProtocols().
  std::optional<Protocol> protocol = std::nullopt;
  // For the server's authenticator; any bytes.
  std::string auth_token = "";
  // The codec of requests whose call names none: CallOptions::compression.
  Compression compression = Compression::kNone;
  // Around every call, in this order; see rpc/call/interceptor.h.
  ClientInterceptors interceptors = {};
  // A connection without calls for so long, at most half as long again, is closed; the next call
  // makes another. Zero or infinite: never.
  absl::Duration idle_timeout = absl::ZeroDuration();
  // Told of each connection: connecting, up, suspect, going away, down. On the I/O thread, in
  // order.
  ConnectionListener on_connection = nullptr;
  // Offered to the server, whose handlers call them by ServerContext::caller(); each outlives the
  // channel. They run on the runtime's worker pool.
  std::vector<Service*> services = {};
  // Says who the server is where it calls `services`: asked for each such call, with the token of
  // its metadata "authorization", or without one with that of the server's Hello
  // (ServerOptions::auth_token). An error refuses the call, with its code, and nothing else: the
  // channel's own calls go on. Runs on a thread of its own; of the calls that wait for it, those
  // beyond 1,000 are refused with UNAVAILABLE. Null: every server may call, and is called by the
  // first name that the transport has verified.
  Authenticator authenticator = nullptr;
  // Around every call that `services` serve, in this order, as a server's are around its own; see
  // rpc/call/interceptor.h.
  ServerInterceptors service_interceptors = {};
  // Calls that `services` may have under way, waiting or served; more are refused with
  // RESOURCE_EXHAUSTED. 0: no limit but `limits.max_calls`.
  int64_t max_service_calls = 0;
  // As ServerOptions::max_write_wait, for handlers of `services`. Zero or infinite: no
  // limit of time.
  absl::Duration max_service_write_wait = absl::Seconds(30);
  // The limits on what the server sends, and the heartbeat.
  SessionLimits limits = {};
};

}  // namespace weft

#endif  // WEFT_RPC_CHANNEL_OPTIONS_H_
