// Keeps chains of coroutines that do not wait from growing the stack.
//
// A coroutine that ends hands over to the one that awaits it. An optimizing compiler makes a jump
// of that; without optimization, and under sanitizers, it is a call inside a call, and a loop that
// awaits a million coroutines which need not wait nests two million deep. So code that resumes a
// coroutine opens a CoroStack. A coroutine that would nest deeper than kMax bytes below it is not
// entered: control returns to the CoroStack, which resumes it from there.
//
// Threads  the thread it stands on
// Owns     nothing; a coroutine that it is to resume is suspended meanwhile
#ifndef WEFT_CORE_CORO_STACK_H_
#define WEFT_CORE_CORO_STACK_H_

#include <coroutine>
#include <cstddef>
#include <cstdint>

#include "weft/core/requirements.h"

namespace weft::internal {

class CoroStack {
 public:
  static constexpr size_t kMax = size_t{64} << 10;

  CoroStack(const CoroStack&) = delete;
  CoroStack& operator=(const CoroStack&) = delete;

  // Resumes `coroutine` and what it hands over to, until they wait or have ended. Both may be gone
  // then.
  static void Resume(std::coroutine_handle<> coroutine);

  // Returns the coroutine to hand over to instead of `next`: `next` itself, or, where the stack is
  // deep already, a no-op; then Resume goes on with `next`.
  static std::coroutine_handle<> HandOver(std::coroutine_handle<> next) noexcept;

 private:
  explicit CoroStack(uintptr_t base);
  ~CoroStack();

  const uintptr_t base_;
  CoroStack* const outer_;
  std::coroutine_handle<> next_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_CORO_STACK_H_
