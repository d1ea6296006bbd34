// Blocks the handler of every n-th request, counted over the whole server.
//
// Threads  any thread
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#include "bench/peers/common/echo_server_options.h"

namespace weft::bench {

class Sleeper {
 public:
  explicit Sleeper(const EchoServerOptions& options)
      : every_(options.sleep_every), length_(options.sleep_us) {}

  // True if any request sleeps at all.
  bool enabled() const { return every_ != 0; }

  // Counts a request; true for the one that has to sleep.
  bool IsDue() {
    return enabled() && (requests_.fetch_add(1, std::memory_order_relaxed) + 1) % every_ == 0;
  }

  void Sleep() const { std::this_thread::sleep_for(length_); }

  void SleepIfDue() {
    if (IsDue()) Sleep();
  }

 private:
  const uint64_t every_;
  const std::chrono::microseconds length_;
  std::atomic<uint64_t> requests_{0};
};

}  // namespace weft::bench
