// Says when workers are through with the items that they are in: for callers that wait until
// workers have left something, while workers pay no fence for leaving it.
//
//   worker:  takes a flag back (1) ─► takes an item, or lies down (2) ─► looks here (3)
//   waiter:  says that it waits (a) ─► touches what (2) touches (b) ─► looks at the flag (c)
//
// (2) and (b) are read-modify-writes of one variable, or critical sections of one mutex: the
// queue's, that of resumed items, that of idle workers. So no worker is missed. If (2) comes first,
// (1) happens before (c), which sees it. If (b) comes first, (a) happens before (3).
//
// Threads  any: EnterUntilNext. The rest: the workers
// Owns     the gates that workers have to leave; refers to its pool's queue and mutexes
// Ends     each worker leaves the gates that it was entered in when it takes its next item, lies
//          down or ends
#ifndef WEFT_CORE_WORKER_WATCH_H_
#define WEFT_CORE_WORKER_WATCH_H_

#include <atomic>
#include <memory>
#include <vector>

#include "weft/core/fair_queue.h"
#include "weft/core/gate.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class WEFT_ANY_THREAD WorkerWatch {
 public:
  WorkerWatch(int workers, FairQueue& queue, Mutex& resumed_mu, Mutex& idle_mu)
      : queue_(queue),
        resumed_mu_(resumed_mu),
        idle_mu_(idle_mu),
        gates_(static_cast<size_t>(workers)) {}

  // Enters `gate` for each worker for which inside(its number) says true; the worker leaves it when
  // it is through. inside() says whether the worker has set, and not yet taken back, a flag that it
  // sets inside items; it is short and does not call the pool.
  template <typename F>
  void EnterUntilNext(const std::shared_ptr<Gate>& gate, F&& inside) WEFT_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    waiting_.fetch_add(1, std::memory_order_relaxed);  // (a)
    { MutexLock resumed(resumed_mu_); }                // (b)
    { MutexLock idle(idle_mu_); }
    queue_.Synchronize();
    for (size_t worker = 0; worker < gates_.size(); ++worker) {
      if (!inside(static_cast<int>(worker))) continue;  // (c)
      gate->Enter();
      gates_[worker].push_back(gate);
      waiting_.fetch_add(1, std::memory_order_relaxed);
    }
    waiting_.fetch_sub(1, std::memory_order_relaxed);
  }

  // Called by a worker that has taken an item, or has said that it is idle.
  void Pass(int worker) {
    if (waiting_.load(std::memory_order_relaxed) > 0) Leave(worker);  // (3)
  }
  // Called by a worker that ends, which has touched nothing; or by Pass.
  void Leave(int worker) WEFT_EXCLUDES(mu_) {
    std::vector<std::shared_ptr<Gate>> left;
    {
      MutexLock lock(mu_);
      left.swap(gates_[static_cast<size_t>(worker)]);
      waiting_.fetch_sub(static_cast<int>(left.size()), std::memory_order_relaxed);
    }
    for (const auto& gate : left) gate->Leave();
  }

 private:
  FairQueue& queue_;
  Mutex& resumed_mu_;
  Mutex& idle_mu_;
  std::atomic<int> waiting_{0};  // gates to be left; changed under mu_
  Mutex mu_;
  std::vector<std::vector<std::shared_ptr<Gate>>> gates_ WEFT_GUARDED_BY(mu_);  // by worker
};

}  // namespace weft::internal

#endif  // WEFT_CORE_WORKER_WATCH_H_
