// Ends the program when nothing has gone on for a minute, and says what stands where: a hang is a
// finding, and without this it would leave nothing.
//
//   progress the same for `limit` ──► report(), the stacks of all threads ──► _exit(1)
//
// Threads  any; report runs on the watch's own
// Ends     with its destructor, while everything goes on
#ifndef WEFT_TESTS_HISTORY_HANG_WATCH_H_
#define WEFT_TESTS_HISTORY_HANG_WATCH_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

namespace weft::test {

class HangWatch {
 public:
  struct Options {
    std::chrono::milliseconds limit = std::chrono::minutes(1);
    // A number that changes while things go on.
    std::function<uint64_t()> progress;
    // Prints what has not ended. Must not wait for what may hang.
    std::function<void()> report;
  };

  explicit HangWatch(Options options);
  ~HangWatch();
  HangWatch(const HangWatch&) = delete;
  HangWatch& operator=(const HangWatch&) = delete;

 private:
  void Watch();
  [[noreturn]] void Hangs() const;

  const Options options_;
  std::mutex mu_;
  std::condition_variable changed_;
  bool ending_ = false;  // under mu_
  std::thread thread_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_HANG_WATCH_H_
