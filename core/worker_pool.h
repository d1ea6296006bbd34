// A bounded pool of threads for handlers that may block. First in, first out among the items of one
// share, round robin among shares (see FairQueue); one item at a time a worker, so that a slow one
// holds up nobody's neighbours.
//
// It has `threads` workers from the start. When items wait and every worker is blocked (inside an
// item, using no CPU) it adds one, up to `max_threads`; an added one ends after `idle_after`
// without work. The newest idle worker is woken first: its cache is warm. At most one worker is
// being woken at a time; one that takes an item and sees more wakes the next.
//
// With a StepSet it has no threads: whoever has the set runs an item a step, as worker 0.
//
// Threads  any: TrySubmit, Requeue, Execute, Withdraw, queued, counts. Stop: not a worker of this
//          pool
// Owns     its threads; items stay their embedders'
// Errors   TrySubmit refuses what does not fit; Create: RESOURCE_EXHAUSTED when a thread cannot be
//          started. A pool that cannot grow goes on with the threads that it has (pool_growth.h)
// Ends     Stop waits for running items and cancels the queued ones; from then on submissions are
//          cancelled
#ifndef WEFT_CORE_WORKER_POOL_H_
#define WEFT_CORE_WORKER_POOL_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "weft/core/callback_faults.h"
#include "weft/core/clock.h"
#include "weft/core/executor.h"
#include "weft/core/fair_queue.h"
#include "weft/core/fork_guard.h"
#include "weft/core/free_pages.h"
#include "weft/core/gate.h"
#include "weft/core/log.h"
#include "weft/core/mutex.h"
#include "weft/core/parker.h"
#include "weft/core/peer_waits.h"
#include "weft/core/pool_growth.h"
#include "weft/core/random_source.h"
#include "weft/core/resumed_items.h"
#include "weft/core/step_set.h"
#include "weft/core/thread_contract.h"
#include "weft/core/work_item.h"
#include "weft/core/work_queue.h"
#include "weft/core/work_share.h"
#include "weft/core/worker_watch.h"

namespace weft::internal {

struct WorkerPoolOptions {
  std::string name = "workers";
  // Threads from the start; at least 1.
  int threads = 4;
  // The most it may grow to; 0 or less than `threads`: it does not grow.
  int max_threads = 0;
  // Items that may wait; more are refused, see FairQueue.
  size_t queue_limit = 10'000;
  // How long an added worker stays without work.
  Nanos idle_after = std::chrono::minutes(1);
  // Counts and logs exceptions of the closures handed to Execute. Null: standard error is told.
  std::shared_ptr<CallbackFaults> faults = nullptr;
  // Told when the pool cannot grow; and of what libraries write on its threads.
  Log log = {};
  // Steps it, instead of threads of its own (null).
  std::shared_ptr<StepSet> steps = nullptr;
  // The source of random numbers on its threads. Null: the kernel.
  std::shared_ptr<RandomSource> random = nullptr;
};

class WEFT_ANY_THREAD WorkerPool final : public Executor, public WorkQueue, private GrowthHost {
 public:
  static absl::StatusOr<std::unique_ptr<WorkerPool>> Create(WorkerPoolOptions options);
  ~WorkerPool() override;
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Items of Execute and Resume that a worker takes in a row while new ones wait.
  static constexpr int kMaxResumedInARow = 4;

  // Queues those of `items` that there is room for and says how many; the refused ones stand at the
  // end of `items` then. Wakes at most one worker. The pool outlives the call, also where a worker
  // ends the last of `items` before it returns.
  size_t TrySubmit(WorkItem** items, size_t count);

  // Runs the next step of work that was accepted before, such as a coroutine's. Such steps are not
  // bounded by the queue's limit. They are served before new items, at most kMaxResumedInARow of
  // them for each new one that waits. In a process forked from the pool's, where its threads are
  // not, the closure runs inside Execute.
  void Execute(absl::AnyInvocable<void() &&> closure) override;

  // WorkQueue: one item as TrySubmit; as TrySubmit, but never refused; as Execute.
  bool TrySubmit(WorkItem& item) override;
  void Requeue(WorkItem& item) override;
  void Resume(WorkItem& item) override;

  // Takes an item back that stands in its share's own line. False: a worker has it, or soon will.
  bool Withdraw(WorkItem& item) { return queue_.Withdraw(item); }
  // Takes back and cancels all that stands in the share's own line.
  void CancelAll(WorkShare& share);

  void Stop();

  // Calls f(number of a worker) for each that is idle, or has no thread, and keeps them so until it
  // returns: what they keep from item to item may be touched meanwhile. `f` is short and does not
  // call the pool.
  template <typename F>
  void ForEachIdle(F&& f) WEFT_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    for (int index = 0; index < max_threads(); ++index) {
      const Worker& worker = workers_[static_cast<size_t>(index)];
      if (worker.idle || !worker.running) f(index);
    }
  }

  // For callers that wait until workers have left something.
  WorkerWatch& watch() { return watch_; }

  // Has each of these workers that is idle give back the pages of its thread's free memory.
  void GiveBackFreePages(const std::vector<int>& workers) WEFT_EXCLUDES(mu_);

  // Items that wait for a worker.
  size_t queued() const { return queue_.size() + resumed_.size(); }
  bool any_queued() const { return queue_.any() || resumed_.size() > 0; }
  size_t queue_limit() const { return queue_.limit(); }
  int threads() const override { return thread_count_.load(std::memory_order_relaxed); }
  int max_threads() const { return options_.max_threads; }
  bool InPool() const { return OfThread() == this; }

  // Counts its threads that wait for peers that do not read.
  PeerWaits& peer_waits() { return peer_waits_; }

 private:
  class Entered;
  class Stepped;
  struct Worker {
    Parker parker;
    std::thread thread;
    std::atomic<bool> in_item{false};
    int resumed_in_a_row = 0;  // its thread's own
    FreePages free_pages;      // its thread's own
    bool running = false;      // under mu_: has a thread
    bool idle = false;         // under mu_: stands in idle_
    bool gives_back = false;   // set under mu_ when it is taken out of idle_; then its thread's own
  };

  explicit WorkerPool(WorkerPoolOptions options);
  absl::Status StartWorker(int index) WEFT_REQUIRES(mu_);
  void RunWorker(int index);
  void RunItem(WorkItem& item, int index);
  WorkItem* Take(int* resumed_in_a_row);
  void CancelQueued();
  // True: go on. False: this worker ends.
  bool BecomeIdle(int index);
  void WakeOne();
  void WakeIfNeeded();

  // GrowthHost
  bool Overloaded() const override;
  uint64_t taken() const override { return queue_.taken(); }
  bool AllBlocked(std::vector<Nanos>* cpu_before) override WEFT_EXCLUDES(mu_);
  std::optional<absl::Status> AddWorker() override WEFT_EXCLUDES(mu_);

  const ForkGuard home_;
  const WorkerPoolOptions options_;  // with threads as they are: 1 <= threads <= max_threads

  FairQueue queue_;
  Gate executing_;  // threads inside Resume
  PeerWaits peer_waits_;
  alignas(64) std::atomic<int> idle_count_{0};
  std::atomic<bool> waking_{false};
  std::atomic<bool> stopping_{false};  // set under mu_
  std::atomic<int> thread_count_{0};

  ResumedItems resumed_;

  Mutex mu_;
  WorkerWatch watch_{max_threads(), queue_, resumed_.mutex(), mu_};
  const std::unique_ptr<Worker[]> workers_;  // max_threads of them
  std::vector<int> idle_ WEFT_GUARDED_BY(mu_);
  std::unique_ptr<Stepped> stepped_;  // in the StepSet; null: it has threads
  PoolGrowth growth_{*this, options_.name, options_.log};
};

}  // namespace weft::internal

#endif  // WEFT_CORE_WORKER_POOL_H_
