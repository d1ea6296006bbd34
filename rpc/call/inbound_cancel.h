// The cancelling of an inbound call: whether it came, and the scope that hears of it. The handler's
// own calls and stop tokens hang on the scope, which is made when it is first asked for.
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

namespace weft {

class InboundCancel {
 public:
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }
  // The server is out of time to stop. Of one that is cancelled.
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

  // Returns the scope, which its caller stops; null: there is none. From here on the call is
  // cancelled, and may be gone when somebody has been told.
  std::shared_ptr<CallScope> Mark() WEFT_EXCLUDES(mu_);
  void MarkStopped() { stopped_.store(true, std::memory_order_relaxed); }
  std::shared_ptr<CallScope> Scope(MonoTime deadline) WEFT_EXCLUDES(mu_);
  // As new.
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

}  // namespace weft

#endif  // WEFT_RPC_CALL_INBOUND_CANCEL_H_
