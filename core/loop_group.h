// N I/O threads, each with its event loop and what the connections on it share.
//
// With a StepSet its loops have no threads, and are stepped by whoever has the set.
//
// Threads  any: Next, At, size. Create and Stop: the owner
// Owns     its loops and threads; handles keep single loops alive beyond it, closed
// Errors   Create: a Status when a loop or thread cannot be made
// Ends     Stop runs or cancels what is posted and joins the threads
#ifndef WEFT_CORE_LOOP_GROUP_H_
#define WEFT_CORE_LOOP_GROUP_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "weft/core/deadline_wheel.h"
#include "weft/core/event_loop.h"
#include "weft/core/idle_trimmer.h"
#include "weft/core/input_arena.h"
#include "weft/core/step_set.h"

namespace weft::internal {

// One I/O thread's loop and its companions.
struct IoThread {
  std::shared_ptr<EventLoop> loop;
  std::unique_ptr<IdleTrimmer> trimmer;  // the loop's own
  std::unique_ptr<InputArena> arena;     // the loop's own
  std::unique_ptr<DeadlineWheel> wheel;  // the loop's own
  std::thread thread;
};

class LoopGroup {
 public:
  // `steps`: who steps the loops; null: each has a thread.
  static absl::StatusOr<std::unique_ptr<LoopGroup>> Create(
      int threads, const EventLoopOptions& options, std::shared_ptr<StepSet> steps = nullptr);
  ~LoopGroup();
  LoopGroup(const LoopGroup&) = delete;
  LoopGroup& operator=(const LoopGroup&) = delete;

  // In turn.
  WEFT_ANY_THREAD IoThread& Next() { return At(next_.fetch_add(1, std::memory_order_relaxed)); }
  WEFT_ANY_THREAD IoThread& At(size_t key) { return *threads_[key % threads_.size()]; }
  WEFT_ANY_THREAD size_t size() const { return threads_.size(); }
  // True on any of its threads.
  WEFT_ANY_THREAD bool InLoop() const;

  void Stop();

 private:
  explicit LoopGroup(std::shared_ptr<StepSet> steps) : steps_(std::move(steps)) {}

  const std::shared_ptr<StepSet> steps_;
  std::vector<std::unique_ptr<IoThread>> threads_;
  std::atomic<size_t> next_{0};
};

}  // namespace weft::internal

#endif  // WEFT_CORE_LOOP_GROUP_H_
