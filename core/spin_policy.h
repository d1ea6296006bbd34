// Decides how long an idle loop polls before it sleeps.
//
// Waking a sleeping thread costs more than a call (20 to 40 µs for an idle virtual core), so a loop
// whose events come closer than `limit` polls, yielding, instead of sleeping. A spin that ends with
// nothing doubles the number of idle periods that are then slept through at once, up to
// kMaxSkipped, so traffic slower than the spin soon stops paying for it, and an idle loop spins
// once and sleeps.
//
// Polling yields. Where the core is wanted by others a yield lasts as long as their turn: after one
// longer than kCrowded nothing is polled for kMaxSkipped idle periods.
//
// Threads  value; the loop's, or a waiting caller's
#ifndef WEFT_CORE_SPIN_POLICY_H_
#define WEFT_CORE_SPIN_POLICY_H_

#include <algorithm>

#include "weft/core/clock.h"

namespace weft::internal {

class SpinPolicy {
 public:
  static constexpr int kMaxSkipped = 64;
  // A gap in which the loop slept contains its wake-up too: up to this many limits still promise
  // that a spin would have caught the event.
  static constexpr int kPromise = 4;
  static constexpr Nanos kCrowded = std::chrono::microseconds(200);

  // `limit`: the longest spin; 0 turns spinning off.
  explicit SpinPolicy(Nanos limit) : limit_(limit) {}

  // For the idle period that begins now: how long to poll before sleeping.
  Nanos Budget() {
    if (limit_ == Nanos::zero() || !promising_) return Nanos::zero();
    if (skip_ > 0) {
      --skip_;
      return Nanos::zero();
    }
    return limit_;
  }

  // The idle period ended with an event while polling.
  void Caught() {
    penalty_ = 1;
    skip_ = 0;
  }

  // The poll ran its whole budget without an event.
  void Missed() {
    skip_ = penalty_;
    penalty_ = std::min(penalty_ * 2, kMaxSkipped);
  }

  // A yield took `lasted`. True: others want the core, so stop polling.
  bool Yielded(Nanos lasted) {
    if (lasted < kCrowded) return false;
    skip_ = kMaxSkipped;
    return true;
  }

  // The loop slept; the idle period lasted `gap`.
  void Slept(Nanos gap) { promising_ = gap <= limit_ * kPromise; }

 private:
  const Nanos limit_;
  bool promising_ = true;
  int skip_ = 0;
  int penalty_ = 1;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_SPIN_POLICY_H_
