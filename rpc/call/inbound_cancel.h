// The cancelling of an inbound call: if it came, and the scope that hears of it. The handler's own
// calls and stop tokens hang on the scope, which is made when it is first asked for.
//
// A member of InboundCall.
//
// Threads  any: Mark, MarkStopped, the accessors, Scope. Reset: nobody else has the call
// Owns     its share of the scope
#ifndef WEFT_RPC_CALL_INBOUND_CANCEL_H_
#define WEFT_RPC_CALL_INBOUND_CANCEL_H_

#include <atomic>
#include <memory>

#include "weft/core/clock.h"
#include "weft/core/mutex.h"
#include "weft/rpc/call/call_scope.h"

namespace weft::internal {

class InboundCancel {
 public:
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }
  // True if the server cancelled because it is out of time to stop. Valid once cancelled.
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

  // Marks the call as cancelled. Returns the scope, for the caller to stop; null: there is none.
  // The caller must not touch the call after it has told anybody: the call may be gone then.
  std::shared_ptr<CallScope> Mark() WEFT_EXCLUDES(mu_);
  void MarkStopped() { stopped_.store(true, std::memory_order_relaxed); }
  std::shared_ptr<CallScope> Scope(MonoTime deadline) WEFT_EXCLUDES(mu_);
  // Resets it for the next call.
  void Reset() {
    cancelled_.store(false, std::memory_order_relaxed);
    stopped_.store(false, std::memory_order_relaxed);
    if (scoped_.load(std::memory_order_relaxed)) ResetScope();
  }

 private:
  void ResetScope() WEFT_EXCLUDES(mu_);

  std::atomic<bool> cancelled_{false};
  std::atomic<bool> stopped_{false};  // set before cancelled_
  std::atomic<bool> scoped_{false};   // scope_ is not null: for Reset, which most have no need of
  Mutex mu_;
  std::shared_ptr<CallScope> scope_ WEFT_GUARDED_BY(mu_);
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_INBOUND_CANCEL_H_
