// A server's part on one loop, as the node uses it that the server belongs to.
//
// Threads  loop-only
// Errors   a session that is named and has ended: nothing is done
// Ends     SessionHooks::OnLoopGone
#ifndef WEFT_RPC_SERVER_NODE_LOOP_H_
#define WEFT_RPC_SERVER_NODE_LOOP_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/protocol/close_reason.h"
#include "weft/rpc/protocol/protocol.h"
#include "weft/rpc/protocol/session_seed.h"

namespace weft::internal {

class NodeLoop {
 public:
  // The number of a connection that this side has dialled, to be adopted. 0: the server is
  // stopping, or has no room for it.
  virtual uint64_t NumberDialled(const std::string& peer) WEFT_LOOP_ONLY = 0;
  // Begins its session, which may end at once.
  virtual void AdoptDialled(uint64_t id, const Protocol& protocol,
                            SessionSeed seed) WEFT_LOOP_ONLY = 0;
  // No new calls over it. It ends when both sides know that, and those under way have ended; or
  // after `grace`.
  virtual void Leave(uint64_t id, const absl::Status& why, Nanos grace) WEFT_LOOP_ONLY = 0;
  // Ends it now; also one that has not shown its protocol yet.
  virtual void Close(uint64_t id, CloseReason reason, const absl::Status& why) WEFT_LOOP_ONLY = 0;
  // Session::SetMayPause.
  virtual void SetMayPause(uint64_t id, bool may) WEFT_LOOP_ONLY = 0;
  // Session::Probe.
  virtual void Probe(uint64_t id, std::function<void()> alive) WEFT_LOOP_ONLY = 0;

 protected:
  ~NodeLoop() = default;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_NODE_LOOP_H_
