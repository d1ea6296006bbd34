// co_await weft::Sleep(runtime, duration): a coroutine that lets time pass without a thread.
//
//   absl::Status woken = co_await weft::Sleep(*runtime, absl::Seconds(1));
//   if (!woken.ok()) co_return woken;
//
// The time is the runtime's: a test that moves its ManualClock wakes those whose time has come, and
// in a simulation it is the virtual time. It counts from the call of Sleep on.
//
// The coroutine goes on as behind a call: on the worker pool whose thread awaited, else on an I/O
// thread of the runtime. In a handler's coroutine the sleep is part of the call, as calls made
// there are: it ends by the call's deadline, and with its cancelling.
//
// Threads  value: one holder at a time. Destroyed where the coroutine would go on; its time may
//          come on another thread meanwhile
// Owns     its timer; keeps the loop, not the runtime
// Errors   CANCELLED: the handler's call was cancelled, or the runtime has stopped, or this process
//          is a fork of its own. DEADLINE_EXCEEDED: the call's deadline has come first
// Ends     the awaiter is resumed once, or never when it was destroyed before
#ifndef WEFT_RPC_CALL_SLEEP_H_
#define WEFT_RPC_CALL_SLEEP_H_

#include <coroutine>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/core/clock.h"

namespace weft {

class Runtime;
namespace internal {
class EventLoop;
}  // namespace internal

namespace internal {
class SleepWait;
}  // namespace internal

namespace internal {

// `absl::Status`: OK when the time has come.
class [[nodiscard]] SleepAwaiter {
 public:
  SleepAwaiter(std::shared_ptr<EventLoop> loop, MonoTime until);
  SleepAwaiter(SleepAwaiter&&) noexcept = default;
  SleepAwaiter& operator=(SleepAwaiter&& o) noexcept {
    std::swap(loop_, o.loop_);
    std::swap(until_, o.until_);
    std::swap(wait_, o.wait_);
    std::swap(status_, o.status_);
    return *this;
  }
  ~SleepAwaiter();

  bool await_ready() const;
  bool await_suspend(std::coroutine_handle<> awaiter);
  absl::Status await_resume();

 private:
  std::shared_ptr<EventLoop> loop_;
  MonoTime until_;
  std::shared_ptr<SleepWait> wait_;  // while it sleeps
  absl::Status status_;              // where it need not
};

}  // namespace internal

// A negative duration is none; an infinite one ends by the other ends alone.
internal::SleepAwaiter Sleep(Runtime& runtime, absl::Duration duration);
// Until the runtime's clock says `until`.
internal::SleepAwaiter SleepUntil(Runtime& runtime, MonoTime until);

}  // namespace weft

#endif  // WEFT_RPC_CALL_SLEEP_H_
