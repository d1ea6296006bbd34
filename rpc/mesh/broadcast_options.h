// Options of one broadcast: `Broadcast(node, Kv::kPut, request, {.want = …})`.
//
// Threads  value, trivially destructible: gcc 12 destroys other temporaries of a co_await
//          expression twice
#ifndef WEFT_RPC_MESH_BROADCAST_OPTIONS_H_
#define WEFT_RPC_MESH_BROADCAST_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <type_traits>

#include "absl/time/time.h"
#include "weft/rpc/base/compression.h"
#include "weft/rpc/mesh/want.h"

namespace weft {

class ClientContext;
class Executor;
struct PeerSet;

// Policy for a peer that reads too slowly: its connection (max_output_bytes) or the runtime has no
// room for more output.
enum class Slow : uint8_t {
  kFail,  // it fails at once, with RESOURCE_EXHAUSTED
  kSkip,  // the peer is not called, and counted as skipped
  kWait,  // it waits for room until its deadline; 1,000 calls of a peer may, see CallOptions
};

struct BroadcastOptions {
  // How many members must answer before the outcome is certain.
  Want want = Want::All();
  // Timeout of each call, from its start. Zero: the method's own, else the peer's default (10 s).
  // absl::InfiniteDuration(): no limit. A negative one has expired already.
  absl::Duration timeout = absl::ZeroDuration();
  // The group to call and count instead of all members. Must live until the broadcast has started.
  const PeerSet* to = nullptr;
  // This node's own part.
  Self self = Self::kUnsaid;
  Slow slow = Slow::kFail;
  // Lets calls go on that are under way when the outcome is certain, instead of cancelling them.
  // Nobody sees their replies; BroadcastResult::rest counts their ends.
  bool let_rest_run = false;
  // Metadata and attachment, sent to all peers alike, and a way to cancel. Must outlive the
  // outcome. Null: none of these.
  ClientContext* context = nullptr;
  // As in CallOptions, for each call.
  bool wait_for_ready = false;
  bool idempotent = false;
  int max_attempts = 0;
  std::optional<Compression> compression = std::nullopt;
  bool detached = false;
  // Where a callback runs and a coroutine resumes.
  Executor* executor = nullptr;
};
static_assert(std::is_trivially_destructible_v<BroadcastOptions>);

}  // namespace weft

#endif  // WEFT_RPC_MESH_BROADCAST_OPTIONS_H_
