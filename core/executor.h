// Where a suspended piece of work goes on: a worker pool, a loop, or the application's own threads.
//
// weft hands over callbacks and coroutines, also inside calls of the application's and so under its
// locks: therefore Execute never runs the closure.
//
// Threads  any
// Errors   Execute must not throw: what it throws is counted and logged, and the closure is lost,
//          as when the executor has stopped. Closures of weft's throw nothing
// Ends     each closure is run once, or destroyed when the executor has stopped
#ifndef WEFT_CORE_EXECUTOR_H_
#define WEFT_CORE_EXECUTOR_H_

#include "absl/functional/any_invocable.h"

namespace weft {

class Executor {
 public:
  virtual ~Executor() = default;
  // Never runs the closure inside Execute.
  virtual void Execute(absl::AnyInvocable<void() &&> closure) = 0;

  // The executor whose thread this is, or nullptr: set by worker pools around what they run.
  static Executor* Current();

 protected:
  // Sets Current() for a scope.
  class Scope {
   public:
    explicit Scope(Executor* executor);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Executor* const previous_;
  };
};

}  // namespace weft

#endif  // WEFT_CORE_EXECUTOR_H_
