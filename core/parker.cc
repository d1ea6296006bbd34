#include "weft/core/parker.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace weft::internal {
namespace {

void FutexWait(std::atomic<int32_t>* word, int32_t expected, const timespec* limit) {
  ::syscall(SYS_futex, reinterpret_cast<int32_t*>(word), FUTEX_WAIT_PRIVATE, expected, limit,
            nullptr, 0);
}

void FutexWakeOne(std::atomic<int32_t>* word) {
  ::syscall(SYS_futex, reinterpret_cast<int32_t*>(word), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr,
            0);
}

}  // namespace

void Parker::Park() {
  if (TryPark()) return;
  // Fails where Unpark has come meanwhile: then the loop below does not sleep, and the token is
  // taken.
  int32_t empty = kEmpty;
  state_.compare_exchange_strong(empty, kAsleep, std::memory_order_acq_rel);
  // The kernel also returns for signals and by mistake, so the state decides.
  while (state_.load(std::memory_order_acquire) == kAsleep) FutexWait(&state_, kAsleep, nullptr);
  TakeToken();
}

bool Parker::ParkSpinning(SpinPolicy& spin, Nanos limit) {
  const Clock& clock = Clock::System();
  const auto sleep = [this, limit] {
    if (limit != Nanos::max()) return ParkFor(limit);
    Park();
    return true;
  };
  MonoTime before = clock.Now();
  const MonoTime began = before;
  if (const Nanos budget = spin.Budget(); budget > Nanos::zero()) {
    for (const MonoTime until = began + budget; before < until;) {
      if (TryPark()) {
        spin.Caught();
        return true;
      }
      ::sched_yield();
      const MonoTime after = clock.Now();
      if (spin.Yielded(after - before)) return sleep();
      before = after;
    }
    if (TryPark()) return true;
    spin.Missed();
    return sleep();
  }
  const bool called = sleep();
  spin.Slept(clock.Now() - began);
  return called;
}

bool Parker::ParkFor(Nanos limit) {
  if (TryPark()) return true;
  int32_t empty = kEmpty;
  state_.compare_exchange_strong(empty, kAsleep, std::memory_order_acq_rel);
  const MonoTime until = SaturatingAdd(Clock::System().Now(), limit);
  while (state_.load(std::memory_order_acquire) == kAsleep) {
    const Nanos left = until - Clock::System().Now();
    if (left <= Nanos::zero()) {
      int32_t asleep = kAsleep;
      // Decides the race with Unpark: the time is up, or the token is there and has to be taken.
      if (state_.compare_exchange_strong(asleep, kEmpty, std::memory_order_acq_rel)) return false;
      break;  // called at the last moment
    }
    timespec wait{static_cast<time_t>(left.count() / 1'000'000'000),
                  static_cast<long>(left.count() % 1'000'000'000)};
    FutexWait(&state_, kAsleep, &wait);
  }
  TakeToken();
  return true;
}

void Parker::Unpark() {
  if (state_.exchange(kToken, std::memory_order_acq_rel) == kAsleep) FutexWakeOne(&state_);
}

}  // namespace weft::internal
