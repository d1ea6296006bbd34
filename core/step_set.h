// The loops and workers of a runtime that has no threads, for the thread that runs them in its own
// order (RuntimeOptions::steps).
//
//   std::vector<Steppable*> ready;
//   steps->AppendReady(&ready);        // choose one of them, then
//   steps->Step(*ready[chosen]);
//
// While its runtime lives the thread must count as a loop's between the steps too, so that nothing
// waits on it for what only its next step can do: see EventLoop::Entered.
//
// Threads  one: the thread that steps
// Owns     what was put off until the end of a step; refers to the steppables
// Ends     each steppable was removed before it is destroyed
#ifndef WEFT_CORE_STEP_SET_H_
#define WEFT_CORE_STEP_SET_H_

#include <functional>
#include <vector>

#include "weft/core/clock.h"
#include "weft/core/steppable.h"

namespace weft::internal {

class StepSet {
 public:
  StepSet() = default;
  StepSet(const StepSet&) = delete;
  StepSet& operator=(const StepSet&) = delete;

  void Add(Steppable& one) { all_.push_back(&one); }
  // No effect if `one` is not in the set.
  void Remove(Steppable& one) { std::erase(all_, &one); }

  // In the order in which they were added.
  void AppendReady(std::vector<Steppable*>* ready) const;
  // The earliest next_step of them.
  MonoTime next_step() const;
  void Step(Steppable& one);

  // Runs `f` when no step is under way: now, or behind the one that is.
  void RunBetween(std::function<void()> f);

 private:
  std::vector<Steppable*> all_;
  bool stepping_ = false;
  std::vector<std::function<void()>> between_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_STEP_SET_H_
