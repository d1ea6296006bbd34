#include "weft/rpc/call/blocking_wait.h"

#include <algorithm>
#include <utility>

#include "weft/core/event_loop.h"

namespace weft::call_internal {
namespace {

// A clock that a test moves wakes no thread: how often it is looked at.
constexpr Nanos kLook = std::chrono::milliseconds(1);

}  // namespace

bool BlockingWait::Wait() {
  if (EventLoop::Current() != nullptr) {
    port_.Fail(absl::FailedPreconditionError(
        "a stream cannot be waited for on an I/O thread, which would wait for itself; use the "
        "callback or coroutine style"));
    return false;
  }
  if (what_ == StreamPort::For::kRoom && limits_ == nullptr) {
    limits_ = port_.write_waits();
    if (limits_ != nullptr) counted_.emplace(*limits_);
  }
  if (counted_.has_value()) {
    if (absl::Status s = counted_->Begin(); !s.ok()) {
      port_.Fail(std::move(s));
      return false;
    }
  }
  Parker parker;
  if (!port_.Wait(what_, [&parker] { parker.Unpark(); })) return true;
  if (Sleep(parker)) return true;
  if (!port_.StopWaiting(what_)) parker.Park();  // somebody is about to wake it
  port_.Fail(limits_->TooLong());
  return false;
}

Nanos BlockingWait::InForkedChild() {
  const Clock& clock = port_.loop() != nullptr ? port_.loop()->clock() : Clock::System();
  const MonoTime now = clock.Now();
  if (!until_.has_value()) until_ = SaturatingAdd(now, limits_->most());
  return *until_ - now;
}

bool BlockingWait::Sleep(Parker& parker) {
  // How long messages took lately, seen from this thread.
  thread_local SpinPolicy spin(std::chrono::microseconds(20));
  if (limits_ == nullptr || limits_->most() == Nanos::max()) {
    return parker.ParkSpinning(spin, Nanos::max());
  }
  const bool own_time = port_.loop() != nullptr && !port_.loop()->on_system_clock();
  for (;;) {
    const Nanos left = InForkedChild();
    if (left <= Nanos::zero()) return false;
    if (parker.ParkSpinning(spin, own_time ? std::min(left, kLook) : left)) return true;
  }
}

}  // namespace weft::call_internal
