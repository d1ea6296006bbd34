// State of a node's peers at one moment, for people and metrics.
//
// Threads  value
#ifndef WEFT_RPC_MESH_PEER_INFO_H_
#define WEFT_RPC_MESH_PEER_INFO_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/rpc/mesh/peer_state.h"
#include "weft/rpc/protocol/peer_timing.h"

namespace weft {

struct PeerConnectionInfo {
  uint64_t id = 0;       // as in Server::connection_list and in the lines of the log
  bool dialled = false;  // by this node
  size_t slot = 0;
  absl::Duration age;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  size_t queued = 0;  // bytes that wait to be written
  size_t calls = 0;   // from both sides
  // Round-trip time, and the difference between the peer's clock and this one.
  PeerTiming timing;
  // Takes no new calls; another connection has taken its place.
  bool leaving = false;
  bool suspect = false;
};

struct PeerInfo {
  std::string name;
  std::string address;  // as written in the view
  PeerState state = PeerState::kConnecting;
  absl::Duration in_state;   // time in this state
  absl::Status why;          // of kDown, kRefused and kLeft
  uint64_t incarnation = 0;  // not heard from yet
  uint32_t wire_version = 0;
  uint64_t dials = 0;     // begun by this node
  uint64_t failures = 0;  // of those
  std::vector<PeerConnectionInfo> connections;
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_PEER_INFO_H_
