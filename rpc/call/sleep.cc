#include "weft/rpc/call/sleep.h"

#include <algorithm>

#include "weft/core/event_loop.h"
#include "weft/core/loop_group.h"
#include "weft/core/runtime.h"
#include "weft/rpc/call/call_scope.h"
#include "weft/rpc/call/sleep_wait.h"

namespace weft {

using namespace internal;

namespace {

// The caller's own loop where it is one of the runtime's, so that nothing passes between threads.
std::shared_ptr<EventLoop> LoopFor(Runtime& runtime) {
  LoopGroup& loops = runtime.loops();
  for (size_t i = 0; i < loops.size(); ++i) {
    if (loops.At(i).loop->InLoop()) return loops.At(i).loop;
  }
  return loops.Next().loop;
}

absl::Status TooLate() {
  return absl::DeadlineExceededError("sleep: the deadline of the handler's call came first");
}

}  // namespace

SleepAwaiter::SleepAwaiter(std::shared_ptr<EventLoop> loop, MonoTime until)
    : loop_(std::move(loop)), until_(until) {}

SleepAwaiter::~SleepAwaiter() {
  if (wait_ != nullptr) wait_->GiveUp();
}

bool SleepAwaiter::await_ready() const { return until_ <= loop_->clock().Now(); }

bool SleepAwaiter::await_suspend(std::coroutine_handle<> awaiter) {
  const std::shared_ptr<CallScope> scope = CallScope::Current();
  const MonoTime deadline = scope != nullptr ? scope->deadline() : kNever;
  if (deadline <= loop_->clock().Now()) {
    status_ = TooLate();
    return false;
  }
  const std::shared_ptr<internal::SleepWait> wait = std::make_shared<internal::SleepWait>(
      loop_, std::min(until_, deadline), deadline < until_ ? TooLate() : absl::OkStatus());
  // A share of its own below: Suspend may resume the coroutine, which destroys this awaiter.
  wait_ = wait;
  return wait->Suspend(awaiter, scope);  // from here on this may be gone
}

absl::Status SleepAwaiter::await_resume() {
  if (wait_ == nullptr) return std::move(status_);
  return std::exchange(wait_, nullptr)->TakeStatus();
}

SleepAwaiter Sleep(Runtime& runtime, absl::Duration duration) {
  return SleepUntil(runtime, SaturatingAdd(runtime.clock().Now(), ToNanos(duration)));
}

SleepAwaiter SleepUntil(Runtime& runtime, MonoTime until) {
  return SleepAwaiter(LoopFor(runtime), until);
}

}  // namespace weft
