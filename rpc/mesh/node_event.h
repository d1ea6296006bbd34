// An event about a node's peers or views, for the node's owner.
//
// Threads  value; a NodeListener runs on the node's first I/O thread
#ifndef WEFT_RPC_MESH_NODE_EVENT_H_
#define WEFT_RPC_MESH_NODE_EVENT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "weft/rpc/mesh/peer_state.h"

namespace weft {

struct NodeEvent {
  enum class Kind : uint8_t {
    kPeer,           // a peer's state has changed: `peer`, `state`, `why`
    kView,           // the view has changed: `epoch`
    kViewFailed,     // no newer view can be had: `why`
    kViewsDiffer,    // `peer` has had another version of the view for long
    kWrongNode,      // another node answers at the address of `peer`
    kDuplicateName,  // two living processes have the name `peer`, perhaps this one
    kRefused,        // a node was refused that said it was `peer`: `why`
  };

  Kind kind = Kind::kPeer;
  std::string peer = {};
  PeerState state = PeerState::kConnecting;
  absl::Status why = absl::OkStatus();
  uint64_t epoch = 0;
  // Number of earlier events of this peer and kind that came too fast to be told and are left out.
  int coalesced = 0;
};

// Called in order, one event at a time, never inside a call that the application makes. Must not
// block. An exception is caught, counted and logged.
using NodeListener = std::function<void(const NodeEvent&)>;

}  // namespace weft

#endif  // WEFT_RPC_MESH_NODE_EVENT_H_
