// Time that moves only when a test moves it.
//
// A loop does not notice by itself that it moved: LoopThread::Advance, or anything posted, makes it
// look.
//
// Threads  any
#ifndef WEFT_TESTS_SUPPORT_MANUAL_CLOCK_H_
#define WEFT_TESTS_SUPPORT_MANUAL_CLOCK_H_

#include <atomic>
#include <cstdint>

#include "weft/core/clock.h"

namespace weft {

class ManualClock final : public Clock {
 public:
  MonoTime Now() const override { return MonoTime(Nanos(now_.load(std::memory_order_acquire))); }
  void Advance(Nanos d) { now_.fetch_add(d.count(), std::memory_order_acq_rel); }

 private:
  // An hour after boot: tests may look back, too.
  std::atomic<int64_t> now_{Nanos(std::chrono::hours(1)).count()};
};

}  // namespace weft

#endif  // WEFT_TESTS_SUPPORT_MANUAL_CLOCK_H_
