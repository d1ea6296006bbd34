// One of several coroutines that are awaited together: what WhenAll is made of. Around whatever can
// be awaited; counts its end at the awaiter of all.
//
// Threads  Begin: the awaiter's. They end on any threads, also at once
// Owns     its frame, which has what it awaits
// Errors   TakeValue throws what the coroutine has thrown
#ifndef WEFT_CORE_JOINED_H_
#define WEFT_CORE_JOINED_H_

#include <coroutine>
#include <type_traits>
#include <utility>

#include "weft/core/coro.h"
#include "weft/core/coro_frame.h"
#include "weft/core/coro_stack.h"
#include "weft/core/join_awaiter.h"

namespace weft::internal {

template <typename T>
class Joined {
 public:
  struct promise_type;
  using Handle = std::coroutine_handle<promise_type>;

  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    std::coroutine_handle<> await_suspend(Handle h) noexcept {
      JoinAwaiter& all = *h.promise().all;
      const std::coroutine_handle<> awaiter = all.awaiter();
      if (!all.CountEnd()) return std::noop_coroutine();  // this may be gone from here on
      return CoroStack::HandOver(awaiter);
    }
    void await_resume() noexcept {}
  };

  struct promise_type : CoroOutcome<T> {
    Joined get_return_object() { return Joined(Handle::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    FinalAwaiter final_suspend() noexcept { return {}; }
    JoinAwaiter* all = nullptr;
  };

  // Runs it, here, until it waits or has ended. `all` counts its end.
  void Begin(JoinAwaiter* all) {
    frame_.promise().all = all;
    CoroStack::Resume(frame_.handle());
  }
  // Once, when it has ended.
  CoroValue<T> TakeValue() {
    if constexpr (std::is_void_v<T>) {
      frame_.promise().Take();
      return {};
    } else {
      return frame_.promise().Take();
    }
  }

 private:
  explicit Joined(Handle handle) : frame_(handle) {}
  CoroFrame<promise_type> frame_;
};

// The result of awaiting one.
template <typename Awaitable>
using AwaitedBy = decltype(std::declval<Awaitable&>().await_resume());

template <typename Awaitable>
Joined<AwaitedBy<Awaitable>> Join(Awaitable awaitable) {
  if constexpr (std::is_void_v<AwaitedBy<Awaitable>>) {
    co_await std::move(awaitable);
  } else {
    co_return co_await std::move(awaitable);
  }
}

}  // namespace weft::internal

#endif  // WEFT_CORE_JOINED_H_
