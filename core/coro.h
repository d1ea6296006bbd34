// Coro<T>: a coroutine that starts when it is awaited and resumes its awaiter when it ends.
//
//   weft::Coro<absl::Status> Work() {
//     absl::StatusOr<Reply> r = co_await stub.SayCoro(request);
//     …
//   }
//
// Spawn(coro, done) starts one from ordinary code. Dropping a Coro destroys its frame, suspended
// wherever it is, and so cancels the call that it waits for.
//
// Awaiting a Coro that need not wait goes on at once, and a million of them in a row take no more
// stack than one (coro_stack.h).
//
// Threads  value; runs on the thread that starts or resumes it
// Owns     its frame
// Errors   what the coroutine throws comes out of co_await; out of Spawn it reaches `done`. What
//          `done` throws is counted and logged (callback_faults.h)
#ifndef WEFT_CORE_CORO_H_
#define WEFT_CORE_CORO_H_

#include <atomic>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "weft/core/callback_queue.h"
#include "weft/core/check.h"
#include "weft/core/coro_stack.h"
#include "weft/core/guarded_call.h"

namespace weft {

template <typename T>
class [[nodiscard]] Coro {
 public:
  struct promise_type;
  using Handle = std::coroutine_handle<promise_type>;

  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    std::coroutine_handle<> await_suspend(Handle h) noexcept {
      return CoroStack::HandOver(h.promise().awaiter);
    }
    void await_resume() noexcept {}
  };

  struct promise_type {
    Coro get_return_object() { return Coro(Handle::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    FinalAwaiter final_suspend() noexcept { return {}; }
    template <typename U>
    void return_value(U&& value) {
      result.emplace(std::forward<U>(value));
    }
    void unhandled_exception() { error = std::current_exception(); }

    std::coroutine_handle<> awaiter = std::noop_coroutine();
    std::optional<T> result;
    std::exception_ptr error;
  };

  Coro(Coro&& o) noexcept : handle_(std::exchange(o.handle_, nullptr)) {}
  Coro& operator=(Coro&& o) noexcept {
    std::swap(handle_, o.handle_);
    return *this;
  }
  ~Coro() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) noexcept {
    handle_.promise().awaiter = awaiter;
    return CoroStack::HandOver(handle_);
  }
  T await_resume() {
    promise_type& promise = handle_.promise();
    if (promise.error) std::rethrow_exception(promise.error);
    WEFT_DCHECK(promise.result.has_value());
    return *std::move(promise.result);
  }

 private:
  explicit Coro(Handle handle) : handle_(handle) {}
  Handle handle_;
};

namespace coro_internal {

// A coroutine that belongs to nobody: frees itself at its end.
struct Detached {
  struct promise_type {
    Detached get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}  // Drive catches everything
  };
  std::coroutine_handle<> handle;
};

// For the log.
inline constexpr char kEnd[] = "what a coroutine was spawned with";

// `done(std::optional<T> result, std::exception_ptr error)`, after the coroutine's own frame is
// gone.
template <typename T, typename Done>
Detached Drive(Coro<T> coro, Done done) {
  std::optional<T> result;
  std::exception_ptr error;
  {
    Coro<T> running = std::move(coro);
    try {
      result.emplace(co_await running);
    } catch (...) {
      error = std::current_exception();
    }
  }
  GuardedCall(kEnd, [&] { done(std::move(result), std::move(error)); });
}

// Starts `coro` here and now; `done` runs where it ends, inside this call where it need not wait.
template <typename T, typename Done>
void Run(Coro<T> coro, Done done) {
  CoroStack::Resume(Drive(std::move(coro), std::move(done)).handle);
}

}  // namespace coro_internal

// Starts `coro` here and now; `done(std::optional<T>, std::exception_ptr)` runs where it ends, and
// not inside Spawn: behind the callback that called it, on the worker pool of a handler. Only on a
// thread of the application a coroutine that need not wait has nobody to run `done` later: there it
// runs inside Spawn, which is not to be called under a lock that `done` takes.
template <typename T, typename Done>
void Spawn(Coro<T> coro, Done done) {
  auto inside = std::make_shared<std::atomic<bool>>(true);
  coro_internal::Run(
      std::move(coro),
      [inside, done = std::move(done)](std::optional<T> result, std::exception_ptr error) mutable {
        if (!inside->load(std::memory_order_acquire)) {
          done(std::move(result), std::move(error));
          return;
        }
        CallbackQueue::CallBehind(
            coro_internal::kEnd,
            [done = std::move(done), result = std::move(result),
             error = std::move(error)]() mutable { done(std::move(result), std::move(error)); });
      });
  inside->store(false, std::memory_order_release);
}

}  // namespace weft

#endif  // WEFT_CORE_CORO_H_
