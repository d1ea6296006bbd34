#include "weft/core/step_finisher.h"

#include <vector>

namespace weft::internal {
namespace {

constinit thread_local StepFinisher* current_finisher = nullptr;

}  // namespace

StepFinisher::StepFinisher(StepSet& set, std::function<bool()> jump)
    : set_(set), jump_(std::move(jump)), outer_(std::exchange(current_finisher, this)) {}

StepFinisher::~StepFinisher() { current_finisher = outer_; }

StepFinisher* StepFinisher::Of(const std::shared_ptr<StepSet>& set) {
  return current_finisher != nullptr && &current_finisher->set_ == set.get() ? current_finisher
                                                                             : nullptr;
}

bool StepFinisher::RunUntil(const std::function<bool()>& done) {
  for (int i = 0; i < kMaxSteps; ++i) {
    if (done()) return true;
    std::vector<Steppable*> ready;
    set_.AppendReady(&ready);
    if (!ready.empty()) {
      // Inside a step nobody waits.
      StepFinisher* const here = std::exchange(current_finisher, nullptr);
      // The first one, whichever are ready: the order has to be the same in each run.
      set_.Step(*ready.front());
      current_finisher = here;
    } else if (!jump_()) {
      return done();
    }
  }
  return false;
}

}  // namespace weft::internal
