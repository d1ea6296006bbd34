#include "weft/core/thread_start_fault.h"

namespace weft::internal {

constinit thread_local ThreadStartFault* ThreadStartFault::current_ = nullptr;

ThreadStartFault::ThreadStartFault(int after) : outer_(current_), left_(after) { current_ = this; }

ThreadStartFault::~ThreadStartFault() { current_ = outer_; }

bool ThreadStartFault::Fails() {
  ThreadStartFault* const fault = current_;
  if (fault == nullptr) return false;
  if (fault->left_ > 0) {
    --fault->left_;
    return false;
  }
  ++fault->failed_;
  return true;
}

}  // namespace weft::internal
