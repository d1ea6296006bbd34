// Awaits several coroutines at once: begins them, counts their ends, and goes on behind the last.
//
//   the awaiter suspends ──► begins each ──► all have ended meanwhile ──► goes on at once
//                                        └─► else the last that ends hands over to it
//
// Threads  the awaiter's; CountEnd: any
// Owns     nothing; lives in the awaiter's frame, which may be gone as soon as the last is counted
#ifndef WEFT_CORE_JOIN_AWAITER_H_
#define WEFT_CORE_JOIN_AWAITER_H_

#include <atomic>
#include <coroutine>
#include <cstddef>

#include "absl/functional/function_ref.h"
#include "weft/core/requirements.h"

namespace weft::internal {

class JoinAwaiter {
 public:
  using Begin = absl::FunctionRef<void(JoinAwaiter*)>;

  // `begin` starts all `awaited` ones and tells each whom to count at; it lives as long as this.
  JoinAwaiter(size_t awaited, Begin begin) : left_(awaited + 1), begin_(begin) {}
  JoinAwaiter(const JoinAwaiter&) = delete;
  JoinAwaiter& operator=(const JoinAwaiter&) = delete;

  bool await_ready() const { return false; }
  bool await_suspend(std::coroutine_handle<> awaiter) {
    awaiter_ = awaiter;
    begin_(this);
    return !CountEnd();
  }
  void await_resume() const {}

  // True: it was the last, and goes on with the awaiter, which was read before: else all of it may
  // be gone.
  bool CountEnd() noexcept { return left_.fetch_sub(1, std::memory_order_acq_rel) == 1; }
  std::coroutine_handle<> awaiter() const { return awaiter_; }

 private:
  // One more than are awaited: the awaiter itself, while it begins them.
  std::atomic<size_t> left_;
  std::coroutine_handle<> awaiter_;
  const Begin begin_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_JOIN_AWAITER_H_
