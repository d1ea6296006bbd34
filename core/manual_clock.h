// Time that moves only when a test moves it: for RuntimeOptions::clock.
//
//   weft::ManualClock clock;
//   auto runtime = weft::Runtime::Create({.clock = &clock});  // servers and channels share it
//   clock.Advance(absl::Seconds(10));                         // what is due by then has happened
//
// Timers, deadlines, heartbeats, pauses before the next attempt and the delays of an in-process
// network follow it. Waiting for threads does not: workers and blocking callers sleep by the
// system's clock.
//
// Threads  any
// Owns     nothing
// Ends     outlives the runtime: the destructor waits for loops that still go by it, which may end
//          a little after the last that held the runtime
#ifndef WEFT_CORE_MANUAL_CLOCK_H_
#define WEFT_CORE_MANUAL_CLOCK_H_

#include <atomic>
#include <cstdint>

#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "weft/core/clock.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"

namespace weft {

class WEFT_ANY_THREAD ManualClock final : public Clock {
 public:
  ManualClock();
  ~ManualClock() WEFT_EXCLUDES(mu_) override;
  ManualClock(const ManualClock&) = delete;
  ManualClock& operator=(const ManualClock&) = delete;

  MonoTime Now() const override { return MonoTime(Nanos(now_.load(std::memory_order_acquire))); }

  // Moves on by `d`. When it returns every loop has seen the new time and run the timers that were
  // due by it, except on a loop's own thread, where it returns at once. A timer that is started by
  // another one counts from the new time: for what needs several steps, one after the other (a
  // heartbeat that is missed twice), advance step by step.
  void Advance(Nanos d) WEFT_EXCLUDES(mu_);
  void Advance(absl::Duration d) WEFT_EXCLUDES(mu_) { Advance(ToNanos(d)); }

  void Watch(internal::ClockWatcher* watcher) const WEFT_EXCLUDES(mu_) override;
  void Unwatch(internal::ClockWatcher* watcher) const WEFT_EXCLUDES(mu_) override;

 private:
  // An hour after boot: tests may look back, too.
  std::atomic<int64_t> now_{Nanos(std::chrono::hours(1)).count()};
  mutable internal::Mutex mu_;
  mutable internal::CondVar unwatched_;
  mutable absl::flat_hash_set<internal::ClockWatcher*> watchers_ WEFT_GUARDED_BY(mu_);
};

}  // namespace weft

#endif  // WEFT_CORE_MANUAL_CLOCK_H_
