// Something whose work its caller runs, a piece at a time: a loop's turn, a worker's item. For
// runtimes without threads, see StepSet.
//
// Threads  the one that steps
// Owns     nothing
#ifndef WEFT_CORE_STEPPABLE_H_
#define WEFT_CORE_STEPPABLE_H_

#include "weft/core/clock.h"

namespace weft::internal {

class Steppable {
 public:
  // There is something to do now.
  virtual bool Ready() const = 0;
  // The time, by its clock, at which it will be ready by itself. kNever: only when given something
  // to do.
  virtual MonoTime next_step() const = 0;
  // Does the next piece. Only when it is ready.
  virtual void Step() = 0;

 protected:
  ~Steppable() = default;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_STEPPABLE_H_
