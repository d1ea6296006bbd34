// Puts one thread to sleep until another one calls it: a binary semaphore on a futex.
//
// Unpark makes a system call only when the thread sleeps.
//
// Threads  Park, ParkFor: one thread at a time. Unpark: any
// Owns     nothing
#ifndef WEFT_CORE_PARKER_H_
#define WEFT_CORE_PARKER_H_

#include <atomic>
#include <cstdint>

#include "weft/core/clock.h"
#include "weft/core/spin_policy.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class Parker {
 public:
  // Returns when Unpark was called since the last Park returned, be it before this call.
  void Park();
  // The same, polling first as `spin` says: for a call that is about to come. With a limit; false
  // when the time came first. Nanos::max(): without one.
  bool ParkSpinning(SpinPolicy& spin, Nanos limit = Nanos::max());
  // The same with a limit; false when the time came first.
  bool ParkFor(Nanos limit);
  // True when Unpark was called already: takes that, without sleeping.
  bool TryPark() {
    int32_t token = kToken;
    return state_.compare_exchange_strong(token, kEmpty, std::memory_order_acquire);
  }
  WEFT_ANY_THREAD void Unpark();

 private:
  static constexpr int32_t kEmpty = 0, kToken = 1, kAsleep = -1;

  // Read and write in one: a second Unpark may come between the two, and a plain store would take
  // its token without seeing what that thread did before, which the caller then would look for too
  // early and never again.
  void TakeToken() { state_.exchange(kEmpty, std::memory_order_acq_rel); }

  std::atomic<int32_t> state_{kEmpty};
};

}  // namespace weft::internal

#endif  // WEFT_CORE_PARKER_H_
