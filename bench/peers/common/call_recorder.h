// One thread's account of the calls it completed.
//
// Threads  one thread at a time; EchoRun adds the recorders up once their threads are done
#pragma once

#include <cstddef>
#include <cstdint>

#include "bench/peers/common/echo_pattern.h"
#include "bench/peers/common/latency_histogram.h"
#include "bench/peers/common/measured_window.h"

namespace weft::bench {

class CallRecorder {
 public:
  CallRecorder(const EchoPattern& pattern, const MeasuredWindow& window)
      : pattern_(pattern), window_(window) {}

  // Every reply's size is checked, the content of one in 1,000 (`payload` is read only for those).
  bool Check(const void* payload, size_t size, uint64_t number) {
    const bool look = checked_++ % kLookAtOneIn == 0;
    return size == pattern_.size() && (!look || pattern_.Matches(payload, number));
  }

  // Takes down a completed call. True: start another in its place.
  //
  // An error counts whenever it happens; a good call only inside the window.
  bool Finish(uint64_t start, uint64_t end, bool good) {
    ++completed_;
    if (!good) {
      ++failed_;
    } else if (window_.Counts(end)) {
      latencies_.Add(end - start);
    }
    return !window_.Over(end);
  }

  const LatencyHistogram& latencies() const { return latencies_; }
  uint64_t failed() const { return failed_; }
  uint64_t completed() const { return completed_; }

 private:
  static constexpr uint64_t kLookAtOneIn = 1000;

  const EchoPattern& pattern_;
  const MeasuredWindow& window_;
  LatencyHistogram latencies_;
  uint64_t checked_ = 0;
  uint64_t failed_ = 0;
  uint64_t completed_ = 0;
};

}  // namespace weft::bench
