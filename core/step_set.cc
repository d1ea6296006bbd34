#include "weft/core/step_set.h"

#include <algorithm>
#include <utility>

#include "weft/core/check.h"

namespace weft::internal {

void StepSet::AppendReady(std::vector<Steppable*>* ready) const {
  for (Steppable* one : all_) {
    if (one->Ready()) ready->push_back(one);
  }
}

MonoTime StepSet::next_step() const {
  MonoTime next = kNever;
  for (const Steppable* one : all_) next = std::min(next, one->next_step());
  return next;
}

void StepSet::Step(Steppable& one) {
  WEFT_DCHECK(!stepping_);
  stepping_ = true;
  one.Step();
  stepping_ = false;
  while (!between_.empty()) {
    // Taken out first, for a closure may add another one.
    for (const std::function<void()>& f : std::exchange(between_, {})) f();
  }
}

void StepSet::RunBetween(std::function<void()> f) {
  if (stepping_) {
    between_.push_back(std::move(f));
  } else {
    f();
  }
}

}  // namespace weft::internal
