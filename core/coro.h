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
// Threads  value; runs on the thread that starts or resumes it
// Owns     its frame
// Errors   what the coroutine throws comes out of co_await; out of Spawn it reaches `done`
#ifndef WEFT_CORE_CORO_H_
#define WEFT_CORE_CORO_H_

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "weft/core/check.h"

namespace weft {

template <typename T>
class [[nodiscard]] Coro {
 public:
  struct promise_type;
  using Handle = std::coroutine_handle<promise_type>;

  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    std::coroutine_handle<> await_suspend(Handle h) noexcept { return h.promise().awaiter; }
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
    return handle_;
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

// A coroutine that belongs to nobody: starts at once, frees itself at its end.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}  // only what `done` throws comes here, and it must not
  };
};

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
  done(std::move(result), std::move(error));
}

}  // namespace coro_internal

// Starts `coro` here and now; `done(std::optional<T>, std::exception_ptr)` runs where it ends.
// `done` must not throw.
template <typename T, typename Done>
void Spawn(Coro<T> coro, Done done) {
  coro_internal::Drive(std::move(coro), std::move(done));
}

}  // namespace weft

#endif  // WEFT_CORE_CORO_H_
