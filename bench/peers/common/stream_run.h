// A stream client's run: how many streams of what, for how long, and the line it prints.
//
//   {"messages_per_s": 1.0e6, "mb_per_s": 32.0, "client_cpu_us": 0.7, "err": 0}
//
// Messages are those received, by whichever side receives (both ways: by the client), and counted
// inside the window; MB are 10^6 bytes of their payload; client_cpu_us is the process' CPU time a
// message.
//
// Threads  options: value; a counter: one thread; Report: after the threads have ended
#pragma once

#include <sys/resource.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string>

#include "bench/peers/common/arguments.h"
#include "bench/peers/common/fail.h"
#include "bench/peers/common/measured_window.h"

namespace weft::bench {

struct StreamClientOptions {
  int port = 0;
  std::string way;      // down, up or both
  int streams = 1;      // all on one connection
  size_t payload = 32;  // bytes
  double seconds = 3;
  double warmup = 1;

  explicit StreamClientOptions(Arguments& arguments)
      : port(static_cast<int>(arguments.Integer("port", 0, 1, 65535))),
        way(arguments.Text("way", "down")),
        streams(static_cast<int>(arguments.Integer("streams", 1, 1, 1024))),
        payload(static_cast<size_t>(arguments.Integer("payload", 32, 0, 64 << 20))),
        seconds(arguments.Real("seconds", 3, 0.001, 86400)),
        warmup(arguments.Real("warmup", 1, 0, 86400)) {
    if (port == 0) Fail("--port is needed");
    if (way != "down" && way != "up" && way != "both") Fail("--way is down, up or both");
  }
};

// Messages of one stream; a clock reading every 16th.
class StreamCounter {
 public:
  explicit StreamCounter(const MeasuredWindow& window) : window_(window) {}

  // One more message. False: the time is over.
  bool Count() {
    if ((++seen_ & 15) == 0) now_ = NowNanos();
    if (window_.Counts(now_)) ++counted_;
    return !window_.Over(now_);
  }
  // For large messages: a clock reading for this one.
  void ReadClock() { now_ = NowNanos(); }
  uint64_t counted() const { return counted_; }

 private:
  const MeasuredWindow& window_;
  uint64_t now_ = NowNanos();
  uint64_t seen_ = 0;
  uint64_t counted_ = 0;
};

inline double ProcessCpuSeconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// `cpu`: seconds of the process in the window.
inline int PrintStreamReport(const StreamClientOptions& options, uint64_t messages, double cpu,
                             int errors) {
  const double rate = static_cast<double>(messages) / options.seconds;
  std::printf(
      "{\"messages_per_s\": %.1f, \"mb_per_s\": %.3f, \"client_cpu_us\": %.3f, \"err\": %d}\n",
      rate, rate * static_cast<double>(options.payload) * 1e-6,
      messages == 0 ? 0.0 : cpu * 1e6 / static_cast<double>(messages), errors);
  std::fflush(stdout);
  return errors == 0 ? 0 : 1;
}

}  // namespace weft::bench
