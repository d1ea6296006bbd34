// An event loop on a thread of its own, for tests of what lives on a loop.
//
// Threads  any but the loop's: all methods
// Owns     the thread; shares the loop
// Ends     Stop, or the destructor, runs or cancels what is posted and joins
#ifndef WEFT_TESTS_SUPPORT_LOOP_THREAD_H_
#define WEFT_TESTS_SUPPORT_LOOP_THREAD_H_

#include <functional>
#include <memory>
#include <thread>

#include "weft/core/event_loop.h"
#include "weft/core/manual_clock.h"

namespace weft {

class LoopThread {
 public:
  // The system's clock, no spin.
  LoopThread() : LoopThread(Options()) {}
  explicit LoopThread(const internal::EventLoopOptions& options);
  // A clock of the test's. It outlives the loop.
  explicit LoopThread(ManualClock& clock);
  ~LoopThread() { Stop(); }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  static internal::EventLoopOptions Options();

  internal::EventLoop& loop() { return *loop_; }
  const std::shared_ptr<internal::EventLoop>& shared_loop() { return loop_; }

  // Runs `closure` on the loop and waits for its end.
  void Run(const std::function<void()>& closure);
  // Waits until the loop has gone through at least two whole turns: what was due or ready has had
  // its callbacks.
  void Settle();
  // Moves the manual clock, and lets the loop act on it.
  void Advance(Nanos d);
  void Stop();

 private:
  ManualClock* clock_ = nullptr;
  std::shared_ptr<internal::EventLoop> loop_;
  std::thread thread_;
};

}  // namespace weft

#endif  // WEFT_TESTS_SUPPORT_LOOP_THREAD_H_
