// Coro<T>: a coroutine that starts when it is awaited and resumes its awaiter when it ends.
// Coro<void> returns nothing.
//
//   weft::Coro<absl::Status> Work() {
//     absl::StatusOr<Reply> r = co_await stub.SayCoro(request);
//     …
//   }
//
// Spawn(coro, done) starts one from ordinary code, BlockOn (block_on.h) also waits for its end, and
// WhenAll (when_all.h) awaits several at once. Dropping a Coro destroys its frame, suspended
// wherever it is, and so cancels the call that it waits for.
//
// Awaiting a Coro that need not wait goes on at once, and a million of them in a row take no more
// stack than one (coro_stack.h).
//
// Threads  value; runs on the thread that starts or resumes it
// Owns     its frame
// Errors   what the coroutine throws comes out of co_await; out of Spawn it reaches `done`.
//          Exceptions of `done` are counted and logged (callback_faults.h)
#ifndef WEFT_CORE_CORO_H_
#define WEFT_CORE_CORO_H_

#include <atomic>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "weft/core/call_behind.h"
#include "weft/core/check.h"
#include "weft/core/coro_frame.h"
#include "weft/core/coro_stack.h"
#include "weft/core/executor.h"
#include "weft/core/guarded_call.h"

namespace weft {

namespace internal {

// The end of a coroutine, a part of its promise: its result, or an exception.
template <typename T>
struct CoroOutcome {
  template <typename U>
  void return_value(U&& value) {
    result.emplace(std::forward<U>(value));
  }
  void unhandled_exception() { error = std::current_exception(); }
  // Throws what the coroutine has thrown.
  T Take() {
    if (error) std::rethrow_exception(error);
    WEFT_DCHECK(result.has_value());
    return *std::move(result);
  }

  std::optional<T> result;
  std::exception_ptr error;
};

template <>
struct CoroOutcome<void> {
  void return_void() {}
  void unhandled_exception() { error = std::current_exception(); }
  void Take() const {
    if (error) std::rethrow_exception(error);
  }

  std::exception_ptr error;
};

// `T` as something that can be kept.
template <typename T>
using CoroValue = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

}  // namespace internal

template <typename T>
class [[nodiscard]] Coro {
 public:
  struct promise_type;
  using Handle = std::coroutine_handle<promise_type>;

  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    std::coroutine_handle<> await_suspend(Handle h) noexcept {
      return internal::CoroStack::HandOver(h.promise().awaiter);
    }
    void await_resume() noexcept {}
  };

  struct promise_type : internal::CoroOutcome<T> {
    Coro get_return_object() { return Coro(Handle::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    FinalAwaiter final_suspend() noexcept { return {}; }

    std::coroutine_handle<> awaiter = std::noop_coroutine();
  };

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) noexcept {
    frame_.promise().awaiter = awaiter;
    return internal::CoroStack::HandOver(frame_.handle());
  }
  T await_resume() { return frame_.promise().Take(); }

 private:
  explicit Coro(Handle handle) : frame_(handle) {}
  internal::CoroFrame<promise_type> frame_;
};

namespace internal {

// A coroutine that belongs to nobody: frees itself at its end.
struct DetachedCoro {
  struct promise_type {
    DetachedCoro get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}  // DriveCoro catches everything
  };
  std::coroutine_handle<> handle;
};

// For the log.
inline constexpr char kSpawnEnd[] = "what a coroutine was spawned with";

// `done(std::optional<CoroValue<T>> result, std::exception_ptr error)`, after the coroutine's own
// frame is gone.
template <typename T, typename Done>
DetachedCoro DriveCoro(Coro<T> coro, Done done) {
  std::optional<CoroValue<T>> result;
  std::exception_ptr error;
  {
    Coro<T> running = std::move(coro);
    try {
      if constexpr (std::is_void_v<T>) {
        co_await running;
        result.emplace();
      } else {
        result.emplace(co_await running);
      }
    } catch (...) {
      error = std::current_exception();
    }
  }
  GuardedCall(kSpawnEnd, [&] { done(std::move(result), std::move(error)); });
}

// Starts `coro` here and now; `done` runs where it ends, inside this call where it need not wait.
template <typename T, typename Done>
void RunCoro(Coro<T> coro, Done done) {
  CoroStack::Resume(DriveCoro(std::move(coro), std::move(done)).handle);
}

// Calls a Spawn's `done` as its coroutine's kind wants it.
template <typename T, typename Done>
void TellSpawn(Done& done, std::optional<CoroValue<T>> result, std::exception_ptr error) {
  if constexpr (std::is_void_v<T>) {
    done(std::move(error));
  } else {
    done(std::move(result), std::move(error));
  }
}

}  // namespace internal

// Starts `coro` here and now. `done(std::optional<T>, std::exception_ptr)`, of a Coro<void>
// `done(std::exception_ptr)`, runs where it ends, and not inside Spawn: behind the callback that
// called it, on the worker pool of a handler. Only on a thread of the application a coroutine that
// need not wait has nobody to run `done` later: there it runs inside Spawn, which is not to be
// called under a lock that `done` takes.
template <typename T, typename Done>
void Spawn(Coro<T> coro, Done done) {
  using internal::CoroValue;
  const Executor::Detached detached;
  auto inside = std::make_shared<std::atomic<bool>>(true);
  internal::RunCoro(std::move(coro), [inside, done = std::move(done)](
                                         std::optional<internal::CoroValue<T>> result,
                                         std::exception_ptr error) mutable {
    if (!inside->load(std::memory_order_acquire)) {
      internal::TellSpawn<T>(done, std::move(result), std::move(error));
      return;
    }
    internal::CallBehind(internal::kSpawnEnd, [done = std::move(done), result = std::move(result),
                                               error = std::move(error)]() mutable {
      internal::TellSpawn<T>(done, std::move(result), std::move(error));
    });
  });
  inside->store(false, std::memory_order_release);
}

// The same where nobody wants to know of the end. An exception of the coroutine is counted and
// logged.
inline void Spawn(Coro<void> coro) {
  Spawn(std::move(coro), [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  });
}

}  // namespace weft

#endif  // WEFT_CORE_CORO_H_
