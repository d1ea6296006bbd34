#include "weft/rpc/call/inbound_cancel.h"

namespace weft {

std::shared_ptr<CallScope> InboundCancel::Mark() {
  cancelled_.store(true, std::memory_order_release);
  MutexLock lock(mu_);
  return scope_;
}

std::shared_ptr<CallScope> InboundCancel::Scope(MonoTime deadline) {
  MutexLock lock(mu_);
  if (scope_ == nullptr) {
    scope_ = std::make_shared<CallScope>(deadline);
    scoped_.store(true, std::memory_order_relaxed);
    // Nobody has a callback in it yet. Cancelled later: Mark finds it.
    if (cancelled()) scope_->Stop();
  }
  return scope_;
}

void InboundCancel::ResetScope() {
  scoped_.store(false, std::memory_order_relaxed);
  MutexLock lock(mu_);
  scope_.reset();
}

}  // namespace weft
