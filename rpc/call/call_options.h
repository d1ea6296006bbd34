// The settings of one call: `stub.Say(request, {.timeout = absl::Seconds(1)})`.
//
// Everything with a lifetime (metadata, trailers, cancelling) lives in a ClientContext.
//
// Threads  value, trivially destructible: gcc 12 destroys other temporaries of a co_await
//          expression twice
#ifndef WEFT_RPC_CALL_CALL_OPTIONS_H_
#define WEFT_RPC_CALL_CALL_OPTIONS_H_

#include <optional>
#include <type_traits>

#include "absl/time/time.h"
#include "weft/rpc/base/compression.h"

namespace weft {

class ClientContext;
class Executor;

struct CallOptions {
  // How long the call may take, from now. Zero: the method's own timeout, or the channel's (10 s
  // unless told). absl::InfiniteDuration(): no limit. A negative one has expired already.
  absl::Duration timeout = absl::ZeroDuration();
  // Metadata, initial metadata, trailers, cancelling; must outlive the call. Null: none of it.
  ClientContext* context = nullptr;
  // Where the server cannot be reached the call waits for it, within its timeout, instead of ending
  // with UNAVAILABLE.
  bool wait_for_ready = false;
  // Where so much waits to be written that the connection takes no more (max_output_bytes), the
  // call waits for room, within its timeout and behind those that wait already, instead of ending
  // with RESOURCE_EXHAUSTED. At most 1,000 calls of a channel wait so, with half as many bytes as
  // may wait to be written; a request in a stub's message is kept as bytes.
  bool wait_for_room = false;
  // Attempts of this call, the first one included. 0: as the channel's policies say. 1: one. More:
  // so many, by the policy's other settings.
  int max_attempts = 0;
  // This call may run twice, whatever its method says: it may be tried again and hedged.
  bool idempotent = false;
  // The codec of the request, or of the stream's messages, if they are large enough (kCompressFrom)
  // and the server takes it. None given: the channel's.
  std::optional<Compression> compression = std::nullopt;
  // Made inside a handler: does not inherit the deadline and the cancelling of the call it serves.
  bool detached = false;
  // Where a callback runs and a coroutine resumes. Null: a coroutine in a worker pool's thread
  // resumes on that pool; otherwise the I/O thread, which must not be blocked. Never inside a call
  // that the application makes (core/callback_queue.h).
  Executor* executor = nullptr;
};
static_assert(std::is_trivially_destructible_v<CallOptions>);

}  // namespace weft

#endif  // WEFT_RPC_CALL_CALL_OPTIONS_H_
