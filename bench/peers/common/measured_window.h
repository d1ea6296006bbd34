// The stretch of time whose calls are counted: warm-up first, then the window, then no new calls.
//
//   Open()          begin                         end
//     |--- warm-up ---|---------- window ----------|--- what is out comes home ---|
//
// Threads  value; Open() before the threads that read it start
#pragma once

#include <cstdint>

#include "bench/peers/common/monotonic_clock.h"

namespace weft::bench {

class MeasuredWindow {
 public:
  void Open(double warmup_seconds, double seconds) {
    begin_ = NowNanos() + static_cast<uint64_t>(warmup_seconds * kNanosPerSecond);
    end_ = begin_ + static_cast<uint64_t>(seconds * kNanosPerSecond);
  }

  uint64_t begin() const { return begin_; }
  uint64_t end() const { return end_; }
  bool Counts(uint64_t now) const { return now >= begin_ && now < end_; }
  bool Over(uint64_t now) const { return now >= end_; }

 private:
  uint64_t begin_ = 0;
  uint64_t end_ = 0;
};

}  // namespace weft::bench
