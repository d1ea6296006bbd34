// The thread-safe face of a call that was started: where it is and its number. A stale one is
// harmless.
//
// Threads  any
// Owns     keeps the carrier's memory, not its connection
#ifndef WEFT_RPC_CALL_CALL_HANDLE_H_
#define WEFT_RPC_CALL_CALL_HANDLE_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "weft/core/thread_contract.h"

namespace weft::internal {

// The carrier of calls that this side started: a session, or a channel that has none yet.
class WEFT_ANY_THREAD CallCanceller {
 public:
  virtual ~CallCanceller() = default;
  // Ends the call with CANCELLED if it is still under way; on the carrier's loop, later.
  virtual void CancelCall(uint64_t id) = 0;
};

class WEFT_ANY_THREAD CallHandle {
 public:
  CallHandle() = default;
  CallHandle(std::shared_ptr<CallCanceller> carrier, uint64_t id)
      : carrier_(std::move(carrier)), id_(id) {}
  void Cancel() const {
    if (carrier_ != nullptr) carrier_->CancelCall(id_);
  }
  bool valid() const { return carrier_ != nullptr; }

 private:
  std::shared_ptr<CallCanceller> carrier_;
  uint64_t id_ = 0;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_CALL_HANDLE_H_
