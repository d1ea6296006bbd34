// Lets a destructor wait in a runtime that is stepped: runs the steps that it waits for.
//
//   StepFinisher finisher(*steps, [&] { return clock.JumpToNext(); });   around the destruction
//   …
//   if (StepFinisher* here = StepFinisher::Of(steps)) here->RunUntil(done);   in the destructor
//
// While one lives, what destroys servers and channels of that set, between its steps, finds their
// calls ended and their handlers left, as on a thread that may wait. Without one they do not wait.
//
// Threads  the one that steps the set
// Owns     nothing; refers to the set
#ifndef WEFT_CORE_STEP_FINISHER_H_
#define WEFT_CORE_STEP_FINISHER_H_

#include <functional>
#include <memory>
#include <utility>

#include "weft/core/step_set.h"

namespace weft::internal {

class StepFinisher {
 public:
  // Steps and jumps that one wait may take.
  static constexpr int kMaxSteps = 1'000'000;

  // `jump` moves the set's time to the next step. False: there will be none.
  StepFinisher(StepSet& set, std::function<bool()> jump);
  ~StepFinisher();
  StepFinisher(const StepFinisher&) = delete;
  StepFinisher& operator=(const StepFinisher&) = delete;

  // The one of this thread for that set, where no step of it is under way; else null.
  static StepFinisher* Of(const std::shared_ptr<StepSet>& set);

  // Steps what is ready, the first of it each time, until `done`. False: there is nothing left that
  // could bring it about.
  bool RunUntil(const std::function<bool()>& done);

 private:
  StepSet& set_;
  const std::function<bool()> jump_;
  StepFinisher* const outer_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_STEP_FINISHER_H_
