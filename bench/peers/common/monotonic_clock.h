// The clock all measurements use, in nanoseconds.
//
// Threads  any thread
#pragma once

#include <time.h>

#include <cerrno>
#include <cstdint>

namespace weft::bench {

inline constexpr uint64_t kNanosPerSecond = 1'000'000'000;

inline uint64_t NowNanos() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNanosPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

inline void SleepUntilNanos(uint64_t when) {
  const timespec until{static_cast<time_t>(when / kNanosPerSecond),
                       static_cast<long>(when % kNanosPerSecond)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
  }
}

}  // namespace weft::bench
