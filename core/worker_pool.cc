#include "weft/core/worker_pool.h"

#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/base/attributes.h"
#include "absl/strings/str_cat.h"
#include "weft/core/callback_queue.h"
#include "weft/core/check.h"
#include "weft/core/guarded_call.h"
#include "weft/core/thread_log.h"
#include "weft/core/thread_start.h"

namespace weft::internal {
namespace {

// A worker that used less CPU than this between two looks is blocked.
constexpr Nanos kBlockedBelow = PoolGrowth::kLookEvery / 10;
// The most items of one connection that stand in front of others'. Two for each thread are enough
// that no thread waits while the next are moved up; with fewer than 32 the moving costs small calls
// more than their place in the line is worth.
constexpr int kMinQuantum = 32, kQuantumPerThread = 2;

class ClosureItem final : public WorkItem {
 public:
  explicit ClosureItem(absl::AnyInvocable<void() &&> closure) : closure_(std::move(closure)) {}
  void Run(int) override {
    GuardedCall("a closure of a worker pool", [&] { std::move(closure_)(); });
    delete this;
  }
  void Cancel() override { delete this; }

 private:
  absl::AnyInvocable<void() &&> closure_;
};

Nanos ThreadCpu(std::thread& thread) {
  clockid_t clock;
  timespec used{};
  if (::pthread_getcpuclockid(thread.native_handle(), &clock) != 0) return Nanos::zero();
  ::clock_gettime(clock, &used);
  return std::chrono::seconds(used.tv_sec) + Nanos(used.tv_nsec);
}

// Options with the numbers of threads made sound: at least one, and never more than the most.
WorkerPoolOptions WithThreads(WorkerPoolOptions options) {
  if (options.steps != nullptr) options.max_threads = 0;
  options.threads = std::max(1, options.threads);
  options.max_threads = std::max(options.threads, options.max_threads);
  return options;
}

}  // namespace

// Sets up a thread's surroundings while it is one of the pool's.
class WorkerPool::Entered {
 public:
  explicit Entered(WorkerPool& pool)
      : executor_(&pool), faults_(pool.options_.faults), lines_(pool.options_.log) {
    if (pool.options_.random != nullptr) random_.emplace(*pool.options_.random);
  }

 private:
  const Scope executor_;
  const CallbackFaults::Scope faults_;
  const ThreadLog lines_;
  std::optional<RandomSource::Scope> random_;
};

// A pool without threads: an item a step, as worker 0.
class WorkerPool::Stepped final : public Steppable {
 public:
  explicit Stepped(WorkerPool& pool) : pool_(pool) {}
  bool Ready() const override { return pool_.any_queued(); }
  MonoTime next_step() const override { return kNever; }
  void Step() override {
    // The thread that steps may be inside a loop's scope; a worker has no loop.
    const CallbackQueue::Attached no_loop(nullptr);
    const Entered entered(pool_);
    WorkItem* const item = pool_.Take(&pool_.workers_[0].resumed_in_a_row);
    if (item != nullptr) pool_.RunItem(*item, 0);
    pool_.watch_.Pass(0);
  }

 private:
  WorkerPool& pool_;
};

WorkerPool::WorkerPool(WorkerPoolOptions options)
    : options_(WithThreads(std::move(options))),
      queue_(options_.queue_limit, std::max(kMinQuantum, kQuantumPerThread * max_threads())),
      peer_waits_(max_threads()),
      workers_(std::make_unique<Worker[]>(static_cast<size_t>(max_threads()))) {}

absl::StatusOr<std::unique_ptr<WorkerPool>> WorkerPool::Create(WorkerPoolOptions options) {
  std::unique_ptr<WorkerPool> pool;
  try {  // its queue and its table of threads are as large as the application says
    pool.reset(new WorkerPool(options));
  } catch (const std::exception&) {
    return absl::ResourceExhaustedError(
        absl::StrCat("worker pool ", options.name, ": no memory for a queue of ",
                     options.queue_limit, " calls and ", options.max_threads, " threads"));
  }
  if (pool->options_.steps != nullptr) {
    pool->thread_count_.store(pool->options_.threads, std::memory_order_relaxed);
    pool->stepped_ = std::make_unique<Stepped>(*pool);
    pool->options_.steps->Add(*pool->stepped_);
    return pool;
  }
  {
    MutexLock lock(pool->mu_);
    for (int i = 0; i < pool->options_.threads; ++i) {
      if (absl::Status s = pool->StartWorker(i); !s.ok()) {
        // Stop takes the mutex itself. It joins those that were started.
        lock.Unlock();
        pool->Stop();
        return s;
      }
    }
  }
  if (pool->max_threads() > pool->options_.threads) {
    if (absl::Status s = pool->growth_.Start(); !s.ok()) return s;
  }
  return pool;
}

WorkerPool::~WorkerPool() {
  Stop();
  // A thread may still be inside Requeue() or Resume() although its item has run and with it the
  // last need of this pool has gone: wait until that thread has left.
  executing_.WaitUntilEmpty();
}

absl::Status WorkerPool::StartWorker(int index) {
  Worker& worker = workers_[static_cast<size_t>(index)];
  if (worker.thread.joinable()) worker.thread.join();  // one that ended for want of work
  worker.running = true;
  // Counted before it runs, for the thread counts itself out when it ends.
  thread_count_.fetch_add(1, std::memory_order_relaxed);
  absl::StatusOr<std::thread> thread =
      StartThread(absl::StrCat(options_.name, index), [this, index] { RunWorker(index); });
  if (!thread.ok()) {
    worker.running = false;
    thread_count_.fetch_sub(1, std::memory_order_relaxed);
    return thread.status();
  }
  worker.thread = *std::move(thread);
  return absl::OkStatus();
}

size_t WorkerPool::TrySubmit(WorkItem** items, size_t count) {
  // Pushed before the look at `stopping_`: Stop sets that before it cancels what is queued, so one
  // of the two threads finds the items.
  const size_t accepted = queue_.TryPush(items, count);
  if (accepted > 0) WakeIfNeeded();
  if (stopping_.load(std::memory_order_seq_cst)) CancelQueued();
  return accepted;
}

void WorkerPool::Requeue(WorkItem& item) {
  executing_.Enter();
  queue_.Push(item);
  WakeIfNeeded();
  if (stopping_.load(std::memory_order_seq_cst)) CancelQueued();
  executing_.Leave();  // from here on it may be gone
}

void WorkerPool::CancelQueued() {
  int in_a_row = 0;
  while (WorkItem* item = Take(&in_a_row)) item->Cancel();
}

void WorkerPool::CancelAll(WorkShare& share) {
  queue_.WithdrawAll(share, [](WorkItem& item) { item.Cancel(); });
}

void WorkerPool::Execute(absl::AnyInvocable<void() &&> closure) {
  if (home_.InForkedChild()) {
    std::move(closure)();
    return;
  }
  Resume(*new ClosureItem(std::move(closure)));
}

bool WorkerPool::TrySubmit(WorkItem& item) {
  WorkItem* one = &item;
  return TrySubmit(&one, 1) == 1;
}

void WorkerPool::Resume(WorkItem& item) {
  executing_.Enter();
  resumed_.Push(item);
  WakeIfNeeded();
  if (stopping_.load(std::memory_order_seq_cst)) CancelQueued();
  executing_.Leave();  // from here on it may be gone
}

// Part of RunWorker, where every item comes by.
ABSL_ATTRIBUTE_ALWAYS_INLINE inline WorkItem* WorkerPool::Take(int* resumed_in_a_row) {
  if (resumed_.size_seen() > 0) {
    // Items that go on are served first, but starve no new ones.
    if (*resumed_in_a_row >= kMaxResumedInARow) {
      *resumed_in_a_row = 0;
      if (WorkItem* item = queue_.TryTake()) return item;
    }
    if (WorkItem* item = resumed_.TryTake()) {
      ++*resumed_in_a_row;
      return item;
    }
  }
  return queue_.TryTake();
}

void WorkerPool::WakeIfNeeded() {
  if (idle_count_.load(std::memory_order_seq_cst) > 0) {
    WakeOne();
  } else if (thread_count_.load(std::memory_order_seq_cst) < max_threads()) {
    growth_.AskToLook();
  }
}

void WorkerPool::WakeOne() {
  do {
    // One worker at a time is on its way. It clears `waking_` when it is up, and wakes the next if
    // items are left (RunItem); so a burst of submissions costs its submitter one wake-up, not one
    // each.
    if (waking_.exchange(true, std::memory_order_seq_cst))
      return;  // the one on its way will see to it
    int index = -1;
    {
      MutexLock lock(mu_);
      if (!idle_.empty()) {
        index = idle_.back();
        idle_.pop_back();
        workers_[static_cast<size_t>(index)].idle = false;
        idle_count_.fetch_sub(1, std::memory_order_seq_cst);
      }
    }
    if (index >= 0) {
      workers_[static_cast<size_t>(index)]
          .parker.Unpark();  // not under the lock: it would run into it
      return;
    }
    waking_.store(false, std::memory_order_seq_cst);
    // No worker was woken. Look again: a submitter may have skipped its wake-up because `waking_`
    // was set.
  } while (any_queued() && idle_count_.load(std::memory_order_seq_cst) > 0);
}

void WorkerPool::RunItem(WorkItem& item, int index) {
  Worker& self = workers_[static_cast<size_t>(index)];
  watch_.Pass(index);
  // Passes the wake-up on before the item runs, which may take long.
  if (any_queued()) WakeIfNeeded();
  // Relaxed: PoolGrowth only guesses from it, at looks that are 500 µs apart.
  self.in_item.store(true, std::memory_order_relaxed);
  item.Run(index);
  self.in_item.store(false, std::memory_order_relaxed);
}

void WorkerPool::RunWorker(int index) {
  const Entered entered(*this);
  Worker& self = workers_[static_cast<size_t>(index)];
  for (;;) {
    if (stopping_.load(std::memory_order_acquire)) {
      watch_.Leave(index);
      return;
    }
    if (WorkItem* item = Take(&self.resumed_in_a_row)) {
      RunItem(*item, index);
      continue;
    }
    if (!BecomeIdle(index)) return;
  }
}

bool WorkerPool::BecomeIdle(int index) {
  Worker& self = workers_[static_cast<size_t>(index)];
  {
    MutexLock lock(mu_);
    idle_.push_back(index);
    self.idle = true;
    idle_count_.fetch_add(1, std::memory_order_seq_cst);
  }
  watch_.Pass(index);
  bool woken = false;
  // Stands in `idle_` before this last look at the queues. A submitter pushes first and then looks
  // at `idle_count_`, so one of the two sees the other, and no item waits beside sleepers.
  if (any_queued() || stopping_.load(std::memory_order_seq_cst)) {
    woken = false;  // came while we lay down: get up ourselves
  } else if (index < options_.threads) {
    self.parker.Park();
    woken = true;
  } else {
    woken = self.parker.ParkFor(options_.idle_after);
  }
  if (!woken) {
    MutexLock lock(mu_);
    if (self.idle) {
      idle_.erase(std::find(idle_.begin(), idle_.end(), index));
      self.idle = false;
      idle_count_.fetch_sub(1, std::memory_order_seq_cst);
      // Still in `idle_`, so no waker has chosen this worker, and it takes itself out.
      if (index < options_.threads || stopping_.load(std::memory_order_acquire)) return true;
      // Counts itself out before its last look at the queues: a submitter that comes later sees
      // that the pool may grow, and asks for that.
      thread_count_.fetch_sub(1, std::memory_order_seq_cst);
      if (!any_queued()) {
        self.running = false;
        return false;
      }
      thread_count_.fetch_add(1, std::memory_order_seq_cst);
      return true;
    }
    lock.Unlock();
    self.parker.Park();  // a waker has taken us out and will call
  }
  if (std::exchange(self.gives_back, false)) {
    // Woken by GiveBackFreePages, not for an item, so `waking_` is not this worker's to clear.
    if (!any_queued()) self.free_pages.GiveBack();
    return true;
  }
  waking_.store(false, std::memory_order_seq_cst);
  return true;
}

void WorkerPool::GiveBackFreePages(const std::vector<int>& workers) {
  std::vector<int> called;
  {
    MutexLock lock(mu_);
    for (int index : workers) {
      Worker& worker = workers_[static_cast<size_t>(index)];
      if (!worker.idle) continue;
      idle_.erase(std::find(idle_.begin(), idle_.end(), index));
      worker.idle = false;
      // As a waker does it, so that no submitter chooses this worker for an item meanwhile.
      worker.gives_back = true;
      idle_count_.fetch_sub(1, std::memory_order_seq_cst);
      called.push_back(index);
    }
  }
  for (int index : called) workers_[static_cast<size_t>(index)].parker.Unpark();
}

bool WorkerPool::Overloaded() const {
  return !stopping_.load(std::memory_order_acquire) && any_queued() &&
         idle_count_.load(std::memory_order_seq_cst) == 0 &&
         thread_count_.load(std::memory_order_seq_cst) < max_threads();
}

std::optional<absl::Status> WorkerPool::AddWorker() {
  MutexLock lock(mu_);
  for (int i = options_.threads; i < max_threads(); ++i) {
    if (workers_[static_cast<size_t>(i)].running) continue;
    if (stopping_.load(std::memory_order_relaxed)) break;
    return StartWorker(i);
  }
  return std::nullopt;
}

// True if every worker is inside an item and has used (almost) no CPU since `*cpu_before`. Stores
// the present times there.
bool WorkerPool::AllBlocked(std::vector<Nanos>* cpu_before) {
  std::vector<Nanos> now(static_cast<size_t>(max_threads()));
  bool blocked = cpu_before->size() == now.size();
  MutexLock lock(mu_);
  for (size_t i = 0; i < now.size(); ++i) {
    Worker& worker = workers_[i];
    if (!worker.running) continue;
    // `running` is cleared under this mutex before the thread ends, so its handle is valid.
    now[i] = ThreadCpu(worker.thread);
    if (!worker.in_item.load(std::memory_order_relaxed) ||
        (blocked && now[i] - (*cpu_before)[i] >= kBlockedBelow)) {
      blocked = false;
    }
  }
  *cpu_before = std::move(now);
  return blocked;
}

void WorkerPool::Stop() {
  {
    MutexLock lock(mu_);
    // Under the mutex, so that AddWorker starts no thread from here on.
    if (stopping_.exchange(true, std::memory_order_seq_cst)) return;
  }
  if (stepped_ != nullptr) options_.steps->Remove(*stepped_);
  growth_.Stop();
  for (int i = 0; i < max_threads(); ++i) {
    Worker& worker = workers_[static_cast<size_t>(i)];
    // Also those that are not idle: the token waits for their next Park.
    worker.parker.Unpark();
    if (worker.thread.joinable()) worker.thread.join();
  }
  CancelQueued();
}

}  // namespace weft::internal
