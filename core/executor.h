// The place where a suspended piece of work goes on: a worker pool, a loop, or the application's
// own threads.
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
#include "weft/core/requirements.h"

namespace weft {

class Executor {
 public:
  virtual ~Executor() = default;
  // Never runs the closure inside Execute.
  virtual void Execute(absl::AnyInvocable<void() &&> closure) = 0;

  // The executor on which a coroutine that waits on this thread goes on, or nullptr. A worker pool
  // is that around what it runs; inside BlockOn it is the waiting thread, until BlockOn returns.
  static Executor* Current();
  // The executor whose thread this is, or nullptr: Current() without what BlockOn has made of it.
  static Executor* OfThread();

  // Makes OfThread() the current one for a scope: around what may outlive the BlockOn inside which
  // it is started.
  class Detached {
   public:
    Detached();
    ~Detached();
    Detached(const Detached&) = delete;
    Detached& operator=(const Detached&) = delete;

   private:
    Executor* const previous_;
  };

 protected:
  // Sets Current() and OfThread() for a scope.
  class Scope {
   public:
    explicit Scope(Executor* executor);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Executor* const previous_;
    Executor* const previous_of_thread_;
  };
  // Sets Current() alone.
  class WaitingScope {
   public:
    explicit WaitingScope(Executor* executor);
    ~WaitingScope();
    WaitingScope(const WaitingScope&) = delete;
    WaitingScope& operator=(const WaitingScope&) = delete;

   private:
    Executor* const previous_;
  };
};

}  // namespace weft

#endif  // WEFT_CORE_EXECUTOR_H_
