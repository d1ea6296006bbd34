// Asks the peer of a native session for signs of life, and gives the session up when there are
// none.
//
// Threads  the session's loop
// Owns     the heartbeat (heartbeat.h)
// Errors   a peer that is silent for too long: the session is closed as lost
// Ends     with the session's timer
#ifndef WEFT_RPC_PROTOCOL_NATIVE_LIFE_WATCH_H_
#define WEFT_RPC_PROTOCOL_NATIVE_LIFE_WATCH_H_

#include <cstdint>

#include "weft/core/clock.h"
#include "weft/core/connection.h"
#include "weft/core/thread_contract.h"
#include "weft/core/timer.h"
#include "weft/rpc/protocol/native/heartbeat.h"
#include "weft/rpc/protocol/native/quiet_trim.h"
#include "weft/rpc/protocol/native/session_shared.h"

namespace weft::native {

class LifeWatch {
 public:
  // `max_interval`: the peer is asked at least so often, whatever was agreed; zero: as agreed.
  LifeWatch(SessionShared& shared, Nanos max_interval)
      : shared_(shared), max_interval_(max_interval) {}

  // `agreed`: zero for never.
  void Begin(Nanos agreed, int misses) LOOP_ONLY;
  // The timer has fired: asks, or gives the peer up. The session may have ended when it returns.
  void Look() LOOP_ONLY;
  // Something was read.
  void OnRead() LOOP_ONLY {
    if (heartbeat_.OnRead()) shared_.host.OnSuspect(shared_.session, false);
  }

 private:
  void GiveUp(Nanos silent_for) LOOP_ONLY;

  SessionShared& shared_;
  const Nanos max_interval_;

  Heartbeat heartbeat_ LOOP_OWNED;
  uint64_t read_before_ LOOP_OWNED = 0;  // bytes, at the last look
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_LIFE_WATCH_H_
