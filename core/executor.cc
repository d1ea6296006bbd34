#include "weft/core/executor.h"

#include <utility>

namespace weft {
namespace {

// The two differ inside a WaitingScope alone: its thread lends itself to a waiting coroutine and
// still belongs to its pool.
thread_local Executor* current_executor = nullptr;
thread_local Executor* executor_of_thread = nullptr;

}  // namespace

Executor* Executor::Current() { return current_executor; }
Executor* Executor::OfThread() { return executor_of_thread; }

Executor::Scope::Scope(Executor* executor)
    : previous_(std::exchange(current_executor, executor)),
      previous_of_thread_(std::exchange(executor_of_thread, executor)) {}
Executor::Scope::~Scope() {
  current_executor = previous_;
  executor_of_thread = previous_of_thread_;
}

Executor::WaitingScope::WaitingScope(Executor* executor)
    : previous_(std::exchange(current_executor, executor)) {}
Executor::WaitingScope::~WaitingScope() { current_executor = previous_; }

Executor::Detached::Detached() : previous_(std::exchange(current_executor, executor_of_thread)) {}
Executor::Detached::~Detached() { current_executor = previous_; }

}  // namespace weft
