#include "weft/core/coro_stack.h"

#include <utility>

namespace weft::internal {
namespace {

thread_local CoroStack* current_stack = nullptr;

// Returns the stack's present end. The stack grows downwards on every machine that weft runs on.
[[gnu::noinline]] uintptr_t StackPointer() {
  return reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
}

}  // namespace

CoroStack::CoroStack(uintptr_t base) : base_(base), outer_(std::exchange(current_stack, this)) {}
CoroStack::~CoroStack() { current_stack = outer_; }

void CoroStack::Resume(std::coroutine_handle<> coroutine) {
  CoroStack stack(StackPointer());
  stack.next_ = coroutine;
  // A loop instead of a recursion: each coroutine has returned before the next is entered, so the
  // stack is as shallow as before.
  while (const std::coroutine_handle<> next = std::exchange(stack.next_, nullptr)) next.resume();
}

std::coroutine_handle<> CoroStack::HandOver(std::coroutine_handle<> next) noexcept {
  CoroStack* const stack = current_stack;
  // A second one may be on its way: a coroutine that user code has resumed by itself, inside.
  if (stack == nullptr || stack->next_ || stack->base_ - StackPointer() <= kMax) return next;
  stack->next_ = next;
  return std::noop_coroutine();
}

}  // namespace weft::internal
