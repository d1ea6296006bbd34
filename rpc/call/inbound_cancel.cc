#include "weft/rpc/call/inbound_cancel.h"

namespace weft::internal {

std::shared_ptr<CallScope> InboundCancel::Mark() {
  // The flag comes before the lock, and Scope reads it under the lock: one of the two stops the
  // scope.
  cancelled_.store(true, std::memory_order_release);
  MutexLock lock(mu_);
  return scope_;
}

std::shared_ptr<CallScope> InboundCancel::Scope(MonoTime deadline) {
  MutexLock lock(mu_);
  if (scope_ == nullptr) {
    scope_ = std::make_shared<CallScope>(deadline);
    scoped_.store(true, std::memory_order_relaxed);
    // A cancel that came before found no scope to stop. Nothing hangs on this one yet, so no
    // callback runs under the lock.
    if (cancelled()) scope_->Stop();
  }
  return scope_;
}

void InboundCancel::ResetScope() {
  scoped_.store(false, std::memory_order_relaxed);
  MutexLock lock(mu_);
  scope_.reset();
}

}  // namespace weft::internal
