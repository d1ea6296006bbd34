// The target for calls to a connection's other side. It is made when a handler first asks for it,
// and kept as long as the connection's memory.
//
// Threads  any
// Owns     the target
#ifndef WEFT_RPC_CALL_CALLER_SLOT_H_
#define WEFT_RPC_CALL_CALLER_SLOT_H_

#include <atomic>
#include <functional>
#include <memory>

#include "weft/core/thread_contract.h"
#include "weft/rpc/call/call_link.h"
#include "weft/rpc/call/call_target.h"

namespace weft::internal {

// Makes the target for calls on a link. The link owns the target, so the target must not own the
// link.
using CallerMaker =
    std::function<std::unique_ptr<CallTarget>(const std::shared_ptr<CallLink>& link)>;

class WEFT_ANY_THREAD CallerSlot {
 public:
  CallerSlot() = default;
  ~CallerSlot() { delete made_.load(std::memory_order_acquire); }
  CallerSlot(const CallerSlot&) = delete;
  CallerSlot& operator=(const CallerSlot&) = delete;

  CallTarget* Get(const CallerMaker& make, const std::shared_ptr<CallLink>& link) {
    CallTarget* made = made_.load(std::memory_order_acquire);
    if (made != nullptr) return made;
    std::unique_ptr<CallTarget> own = make(link);
    // If two threads ask at once, the first target stored is used by both.
    if (made_.compare_exchange_strong(made, own.get(), std::memory_order_acq_rel)) {
      return own.release();
    }
    return made;
  }

 private:
  std::atomic<CallTarget*> made_{nullptr};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_CALLER_SLOT_H_
