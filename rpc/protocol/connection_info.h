// Information about the connections of channels and servers: a list to look at any time, and events
// as they happen.
//
//   kConnecting ──► kUp ◄──► kSuspect ──► kDown          from any state: kGoingAway, kDown
//
// Threads  value; ConnectionGauge: any
#ifndef WEFT_RPC_PROTOCOL_CONNECTION_INFO_H_
#define WEFT_RPC_PROTOCOL_CONNECTION_INFO_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/connection_volume.h"
#include "weft/rpc/protocol/close_reason.h"
#include "weft/rpc/protocol/peer_timing.h"

namespace weft {

enum class ConnectionState : uint8_t {
  kConnecting,  // a channel's: resolving, connecting, the handshake
  kUp,          // usable for calls; also after kSuspect, when the peer was heard again
  kSuspect,     // a heartbeat was not answered in time
  kGoingAway,   // takes no more calls; those under way go on
  kDown,        // the connection ended, or the attempt to connect failed
};
// The state's name, such as "up".
std::string_view ConnectionStateName(ConnectionState state);

// One connection at the moment of asking.
struct ConnectionInfo {
  // Rises with each connection of its channel or server.
  uint64_t id = 0;
  std::string peer;
  ConnectionState state = ConnectionState::kConnecting;
  absl::Duration age;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  // Calls under way from both sides; may still count a call answered a moment ago.
  size_t calls = 0;
  // Measured by heartbeats; see PeerTiming.
  PeerTiming timing;
};

struct ConnectionEvent {
  // The id in ConnectionInfo; 0: an attempt that failed before it became a connection.
  uint64_t id = 0;
  std::string peer;
  ConnectionState state = ConnectionState::kConnecting;
  // For kDown.
  CloseReason reason = CloseReason::kLocal;
  // For kGoingAway and kDown: the reason.
  absl::Status why;
};

// Runs on the I/O thread, in the order of events, never inside a call that the application makes
// (core/callback_queue.h). Must not block. Exceptions are caught, counted and logged
// (Runtime::callback_throws).
using ConnectionListener = std::function<void(const ConnectionEvent&)>;

namespace internal {

// A session's counters and measurements.
class WEFT_ANY_THREAD ConnectionGauge {
 public:
  virtual ~ConnectionGauge() = default;
  virtual ConnectionVolume Volume() = 0;
  // Default: nothing was measured.
  virtual PeerTiming Timing() { return {}; }
};

}  // namespace internal

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_CONNECTION_INFO_H_
