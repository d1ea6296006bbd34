// What a program may know about the connections of its channels and servers: a list to look at any
// time, and events as they happen.
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

namespace weft {

enum class ConnectionState : uint8_t {
  kConnecting,  // a channel's: resolving, connecting, the handshake
  kUp,          // calls go over it; again after kSuspect when the peer was heard of
  kSuspect,     // a heartbeat was not answered in time
  kGoingAway,   // takes no more calls; those under way go on
  kDown,        // it is over, or the attempt to connect failed
};
// "up" and the like.
std::string_view ConnectionStateName(ConnectionState state);

// One connection, as it was when it was asked for.
struct ConnectionInfo {
  // Rises with each connection of its channel or server.
  uint64_t id = 0;
  std::string peer;
  ConnectionState state = ConnectionState::kConnecting;
  absl::Duration age;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  // Calls under way, of both sides; one that was answered a moment ago may still count.
  size_t calls = 0;
};

struct ConnectionEvent {
  // That of the connection's ConnectionInfo; of an attempt that failed before it was one: 0.
  uint64_t id = 0;
  std::string peer;
  ConnectionState state = ConnectionState::kConnecting;
  // Of kDown.
  CloseReason reason = CloseReason::kLocal;
  // Of kGoingAway and kDown: why.
  absl::Status why;
};

// Runs on the I/O thread, in the order of what happened, and must not block it; never inside a call
// that the application makes (core/callback_queue.h). What it throws is caught, counted and logged
// (Runtime::callback_throws).
using ConnectionListener = std::function<void(const ConnectionEvent&)>;

// What a session counts.
class ANY_THREAD ConnectionGauge {
 public:
  virtual ~ConnectionGauge() = default;
  virtual ConnectionVolume Volume() = 0;
};

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_CONNECTION_INFO_H_
