// One restartable timer of a loop.
//
// Resolution: the kernel's timerfd, some tens of microseconds; never early.
//
// Threads  loop-only
// Owns     its callback
// Ends     destroying or stopping it means the callback does not run any more; it may do either
//          from inside. A loop that closes fires those that ask for it (AtClose), whenever they are
//          due
#ifndef WEFT_CORE_TIMER_H_
#define WEFT_CORE_TIMER_H_

#include <functional>
#include <utility>

#include "weft/core/clock.h"
#include "weft/core/event_loop.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class Timer {
 public:
  // An armed timer whose loop closes is forgotten, or fires then.
  enum class AtClose : uint8_t { kNothing, kFires };

  Timer(EventLoop& loop, std::function<void()> fire, AtClose at_close = AtClose::kNothing)
      : loop_(loop), fire_(std::move(fire)), at_close_(at_close) {}
  ~Timer() WEFT_NO_THREAD_ANALYSIS { Stop(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Fires once at `at`; replaces an earlier start. kNever stops it.
  void StartAt(MonoTime at) WEFT_LOOP_ONLY {
    Stop();
    if (at == kNever) return;
    at_ = at;
    armed_ = true;
    loop_.AddTimer(this);
  }
  void StartAfter(Nanos d) WEFT_LOOP_ONLY { StartAt(SaturatingAdd(loop_.clock().Now(), d)); }
  void Stop() WEFT_LOOP_ONLY {
    if (std::exchange(armed_, false)) loop_.RemoveTimer(this);
  }
  bool armed() const WEFT_LOOP_ONLY { return armed_; }
  // When it fires; only while armed.
  MonoTime at() const WEFT_LOOP_ONLY { return at_; }

 private:
  friend class EventLoop;
  void Fire() WEFT_LOOP_ONLY {
    armed_ = false;
    fire_();
  }

  EventLoop& loop_;
  const std::function<void()> fire_;
  const AtClose at_close_;
  MonoTime at_ WEFT_LOOP_OWNED = kNever;
  uint64_t sequence_ WEFT_LOOP_OWNED = 0;
  bool armed_ WEFT_LOOP_OWNED = false;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_TIMER_H_
