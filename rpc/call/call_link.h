// One live connection, as starters of calls see it: a channel, or a peer of a mesh.
//
// Threads  any, but for what is marked WEFT_LOOP_ONLY
// Owns     nothing of the calls: they stay their starters'
// Errors   TryStart says why a call was not started
// Ends     after the connection's end every call has been completed, and TryStart says kGone
#ifndef WEFT_RPC_CALL_CALL_LINK_H_
#define WEFT_RPC_CALL_CALL_LINK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/call_handle.h"
#include "weft/rpc/call/connected_peer.h"
#include "weft/rpc/call/connection_volume.h"
#include "weft/rpc/call/room_observer.h"

namespace weft::internal {

class EventLoop;
class OutboundCall;

class WEFT_ANY_THREAD CallLink : public CallCanceller {
 public:
  enum class StartResult : uint8_t {
    kStarted,
    kRefused,  // `why` is the call's end; it was not sent
    kGone,     // this link takes no more calls; another may
    kFull,     // so much waits to be written, here or on all links, that it takes no more now, as
               // `why` says
  };

  // Sends the call, whose `started` and `deadline` are set. kStarted: its completion follows
  // exactly once, on the link's loop.
  virtual StartResult TryStart(OutboundCall& call, absl::Status* why) = 0;
  // After kFull: `observer` is told once, when there is room for a request of `size` bytes or the
  // link takes no more calls. Links that never say kFull need not know it.
  virtual void AwaitRoom(size_t size, std::weak_ptr<RoomObserver> observer) {
    (void)size, (void)observer;
  }
  // True if a call of that method (MethodInfo::full_name) is under way, or is about to be sent
  // again elsewhere. True also for a link that has ended. Links whose calls never move need not
  // override it.
  virtual bool IsUnderWay(std::string_view method) {
    (void)method;
    return false;
  }
  // No new calls: TryStart says kGone from here on. Those under way go on.
  virtual void StopStarting() WEFT_LOOP_ONLY = 0;
  // The loop on which its calls end.
  virtual EventLoop& loop() const = 0;
  // Identifies the process at the other end.
  virtual ConnectedPeer connected_peer() const = 0;
  virtual ConnectionVolume Volume() = 0;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_CALL_LINK_H_
