// A simulated node's clock: the simulation's time, or ahead of it while a killed node's remains
// finish.
//
// Threads  one: the simulation's
// Owns     nothing; refers to the simulation's time
#ifndef WEFT_RPC_MESH_SIMULATED_CLOCK_H_
#define WEFT_RPC_MESH_SIMULATED_CLOCK_H_

#include "weft/core/clock.h"

namespace weft::internal {

class SimulatedClock final : public Clock {
 public:
  explicit SimulatedClock(const MonoTime& time) : time_(time) {}

  MonoTime Now() const override { return time_ + ahead_; }
  // Moves ahead to `at`. A past moment changes nothing.
  void JumpTo(MonoTime at) {
    if (at > Now()) ahead_ = at - time_;
  }
  void JumpBack() { ahead_ = Nanos::zero(); }

 private:
  const MonoTime& time_;
  Nanos ahead_{};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_SIMULATED_CLOCK_H_
