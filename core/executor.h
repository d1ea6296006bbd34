// Where a suspended piece of work goes on: a worker pool, a loop, or the application's own threads.
//
// Threads  any
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
