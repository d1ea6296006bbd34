// The source of time. Tests put their own in its place (ManualClock).
//
// MonoTime is the monotonic clock in nanoseconds: for deadlines, timers and measurements. Wall time
// is told to peers and shown to people; it never enters weft's decisions.
//
// Threads  any
#ifndef WEFT_CORE_CLOCK_H_
#define WEFT_CORE_CLOCK_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "weft/core/requirements.h"

namespace weft {

using Nanos = std::chrono::nanoseconds;
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, Nanos>;

// The far end of time: "no deadline".
inline constexpr MonoTime kNever = MonoTime::max();

namespace internal {

// Told when a clock that is moved by hand has moved.
class ClockWatcher {
 public:
  // On any thread. Acts on the new time, there or later, and then calls `seen`, exactly once; must
  // not wait for anything.
  virtual void OnClockMoved(absl::AnyInvocable<void() &&> seen) = 0;

 protected:
  ~ClockWatcher() = default;
};

}  // namespace internal

class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonoTime Now() const = 0;
  // Wall time, which may jump: microseconds since the Unix epoch. A clock that has none began then.
  virtual int64_t WallMicros() const { return Now().time_since_epoch() / kMicro; }

  // From Watch until Unwatch `watcher` is told of every jump. A clock that goes by itself tells
  // nothing.
  virtual void Watch(internal::ClockWatcher* watcher) const { (void)watcher; }
  virtual void Unwatch(internal::ClockWatcher* watcher) const { (void)watcher; }

  // The system's clocks.
  static const Clock& System();

 protected:
  static constexpr Nanos kMicro = std::chrono::microseconds(1);
};

// absl's and chrono's durations, both ways; infinite ones saturate.
inline Nanos ToNanos(absl::Duration d) { return Nanos(absl::ToInt64Nanoseconds(d)); }
inline absl::Duration ToAbsl(Nanos d) { return absl::Nanoseconds(d.count()); }

namespace internal {

// As texts of errors say it: "12.3 ms".
std::string InMs(Nanos d);

// `start` + `d`, where an infinite or too large `d` means never.
inline MonoTime SaturatingAdd(MonoTime start, Nanos d) {
  if (d.count() > 0 && start.time_since_epoch() > kNever.time_since_epoch() - d) return kNever;
  return start + d;
}

}  // namespace internal

}  // namespace weft

#endif  // WEFT_CORE_CLOCK_H_
