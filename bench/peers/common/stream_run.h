// A stream client's run: how many streams of what, for how long, a thread each, and the line it
// prints.
//
//   {"messages_per_s": 1.0e6, "mb_per_s": 32.0, "client_cpu_us": 0.7, "err": 0}
//
// Messages are those received, by whichever side receives (both ways: by the client), and counted
// inside the window; MB are 10^6 bytes of their payload; client_cpu_us is the process' CPU time a
// message.
//
// Threads  options: value; a counter: one thread; a run: Do on the main thread, the rest from any
// Ends     Do returns when every stream has ended
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "bench/peers/common/arguments.h"
#include "bench/peers/common/fail.h"
#include "bench/peers/common/measured_window.h"
#include "bench/peers/common/monotonic_clock.h"
#include "bench/peers/common/process_cpu.h"

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

// Messages of one stream. Reads the clock at every 16th, at large ones each time.
class StreamCounter {
 public:
  StreamCounter(const MeasuredWindow& window, size_t payload)
      : window_(window), skipped_(payload >= kLarge ? 0 : 15) {}

  // One more message. False: the time is over.
  bool Count() {
    if ((++seen_ & skipped_) == 0) now_ = NowNanos();
    if (window_.Counts(now_)) ++counted_;
    return !window_.Over(now_);
  }
  uint64_t counted() const { return counted_; }

 private:
  static constexpr size_t kLarge = 4096;

  const MeasuredWindow& window_;
  const uint64_t skipped_;  // between two readings; a power of two less one
  uint64_t now_ = NowNanos();
  uint64_t seen_ = 0;
  uint64_t counted_ = 0;
};

class StreamRun {
 public:
  explicit StreamRun(const StreamClientOptions& options) : options_(options) {}
  StreamRun(const StreamRun&) = delete;
  StreamRun& operator=(const StreamRun&) = delete;

  // Runs the wanted way's function on a thread for each stream and prints the line. The exit
  // status: 0 if every stream ended as it should.
  int Do(const std::function<void()>& down, const std::function<void()>& up,
         const std::function<void()>& both) {
    window_.Open(options_.warmup, options_.seconds);
    const auto& stream = options_.way == "down" ? down : options_.way == "up" ? up : both;
    std::vector<std::thread> threads;
    for (int i = 0; i < options_.streams; ++i) threads.emplace_back(stream);
    SleepUntilNanos(window_.begin());
    const double before = ProcessCpuSeconds();
    SleepUntilNanos(window_.end());
    const double cpu = ProcessCpuSeconds() - before;
    for (std::thread& thread : threads) thread.join();
    return Print(cpu);
  }

  bool Over() const { return window_.Over(NowNanos()); }
  StreamCounter Counter() const { return StreamCounter(window_, options_.payload); }
  bool IsWhole(const std::string& payload) const { return payload.size() == options_.payload; }
  // Counts one stream that has ended; `right`: it ended as it should.
  void End(const StreamCounter& counter, bool right) {
    messages_ += counter.counted();
    if (!right) ++errors_;
  }

 private:
  // `cpu`: seconds of the process in the window.
  int Print(double cpu) const {
    const double rate = static_cast<double>(messages_) / options_.seconds;
    std::printf(
        "{\"messages_per_s\": %.1f, \"mb_per_s\": %.3f, \"client_cpu_us\": %.3f, \"err\": %d}\n",
        rate, rate * static_cast<double>(options_.payload) * 1e-6,
        messages_ == 0 ? 0.0 : cpu * 1e6 / static_cast<double>(messages_), errors_.load());
    std::fflush(stdout);
    return errors_ == 0 ? 0 : 1;
  }

  const StreamClientOptions& options_;
  MeasuredWindow window_;
  std::atomic<uint64_t> messages_{0};
  std::atomic<int> errors_{0};
};

}  // namespace weft::bench
