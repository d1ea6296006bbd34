// A target on which calls can be started: a channel, a mesh peer, the caller of a handler. Stubs
// hold one.
//
// Threads  any
#ifndef WEFT_RPC_CALL_CALL_TARGET_H_
#define WEFT_RPC_CALL_CALL_TARGET_H_

#include "weft/core/thread_contract.h"

namespace weft {

namespace internal {
class OutboundCall;
}  // namespace internal

class WEFT_ANY_THREAD CallTarget {
 public:
  virtual ~CallTarget() = default;

  // Starts the call; its Complete follows exactly once. The request has been serialized when Start
  // returns. Complete does not run inside Start, unless the target's loop has closed or is left
  // behind in another process (core/fork_guard.h).
  virtual void Start(internal::OutboundCall& call) = 0;
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_CALL_TARGET_H_
