#include "weft/rpc/call/blocking_wait.h"

#include <algorithm>
#include <utility>

#include "weft/core/event_loop.h"

namespace weft::internal {
namespace {

// A test's clock wakes no thread when it moves, so a waiting thread looks at it this often.
constexpr Nanos kLook = std::chrono::milliseconds(1);

}  // namespace

bool BlockingWait::Wait() {
  if (const EventLoop* const loop = EventLoop::Current(); loop != nullptr) {
    port_.Fail(absl::FailedPreconditionError(
        loop->stepped()
            ? "a stream cannot be waited for inside a simulation, where nothing else runs "
              "meanwhile; use the callback or coroutine style"
            : "a stream cannot be waited for on an I/O thread, which would wait for itself; use "
              "the "
              "callback or coroutine style"));
    return false;
  }
  if (what_ == StreamPort::For::kRoom && limits_ == nullptr) {
    limits_ = port_.write_waits();
    if (limits_ != nullptr) counted_.emplace(*limits_);
  }
  if (counted_.has_value()) {
    // Before the thread is counted: who sees it in the count knows that its time runs.
    BeginTime();
    if (absl::Status s = counted_->Begin(); !s.ok()) {
      port_.Fail(std::move(s));
      return false;
    }
  }
  Parker parker;
  if (!port_.Wait(what_, [&parker] { parker.Unpark(); })) return true;
  if (Sleep(parker)) return true;
  // Nothing to stop: the wake is being called on another thread and refers to `parker`. Wait for
  // it.
  if (!port_.StopWaiting(what_)) parker.Park();
  port_.Fail(limits_->TooLong());
  return false;
}

MonoTime BlockingWait::Now() const {
  return (port_.loop() != nullptr ? port_.loop()->clock() : Clock::System()).Now();
}

void BlockingWait::BeginTime() {
  if (!until_.has_value()) until_ = SaturatingAdd(Now(), limits_->most());
}

bool BlockingWait::Sleep(Parker& parker) {
  // Learns for each thread how long messages took lately, and with that whether polling pays.
  thread_local SpinPolicy spin(std::chrono::microseconds(20));
  if (limits_ == nullptr || limits_->most() == Nanos::max()) {
    return parker.ParkSpinning(spin, Nanos::max());
  }
  const bool own_time = port_.loop() != nullptr && !port_.loop()->on_system_clock();
  for (;;) {
    const Nanos left = *until_ - Now();
    if (left <= Nanos::zero()) return false;
    if (parker.ParkSpinning(spin, own_time ? std::min(left, kLook) : left)) return true;
  }
}

}  // namespace weft::internal
