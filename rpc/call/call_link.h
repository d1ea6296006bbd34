// One live connection, as those see it who start calls on it: a channel, later a peer of a mesh.
//
// Threads  any, but for what is marked LOOP_ONLY
// Owns     nothing of the calls: they stay their starters'
// Errors   TryStart says why a call was not started
// Ends     after the connection's end every call has been completed, and TryStart says kGone
#ifndef WEFT_RPC_CALL_CALL_LINK_H_
#define WEFT_RPC_CALL_CALL_LINK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "weft/core/event_loop.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/call_handle.h"
#include "weft/rpc/call/connected_peer.h"
#include "weft/rpc/call/connection_volume.h"
#include "weft/rpc/call/outbound_call.h"

namespace weft {

class ANY_THREAD CallLink : public CallCanceller {
 public:
  enum class StartResult : uint8_t {
    kStarted,
    kRefused,  // `why` is the call's end; it was not sent
    kGone,     // this link takes no more calls; another may
  };

  // Sends the call, whose `started` and `deadline` are set. kStarted: its completion follows
  // exactly once, on the link's loop.
  virtual StartResult TryStart(OutboundCall& call, absl::Status* why) = 0;
  // No new calls: TryStart says kGone from here on. Those under way go on.
  virtual void StopStarting() LOOP_ONLY = 0;
  // Where its calls end.
  virtual EventLoop& loop() const = 0;
  // Who is at the other end.
  virtual ConnectedPeer connected_peer() const = 0;
  virtual ConnectionVolume Volume() = 0;
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_CALL_LINK_H_
