#include "weft/core/runtime.h"

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "weft/core/callback_queue.h"
#include "weft/core/duration_check.h"
#include "weft/core/loop_group.h"
#include "weft/core/step_set.h"
#include "weft/core/thread_start.h"
#include "weft/core/timer.h"
#include "weft/core/worker_pool.h"

namespace weft {

using namespace internal;

namespace {

// How long a runtime that cannot end for want of a thread waits before it tries again.
constexpr Nanos kTryAgain = std::chrono::milliseconds(250);

// The threads of a runtime whose last reference went where nobody may wait for them.
struct Remains {
  Log log;
  std::unique_ptr<LoopGroup> loops;
  std::vector<std::unique_ptr<WorkerPool>> pools;
  std::unique_ptr<Timer> again;  // the first loop's
};

// Joins them on a thread that lives for a moment. Where none can be started they go on, with
// nothing to do, and the first loop tries again.
void EndElsewhere(std::shared_ptr<Remains> remains) {
  absl::StatusOr<std::thread> thread = StartThread("weft-end", [remains] {
    for (const auto& pool : remains->pools) pool->Stop();
    remains->loops->Stop();
  });
  if (thread.ok()) {
    thread->detach();
    return;
  }
  EventLoop& loop = *remains->loops->At(0).loop;
  remains->log.Error(absl::StrCat("a runtime cannot end its threads: ",
                                  std::string(thread.status().message()), "; it tries again"));
  loop.Post([&loop, remains = std::move(remains)](TaskFate) {
    loop.AssertInLoop();
    remains->again = std::make_unique<Timer>(loop, [remains] {
      const std::shared_ptr<Remains> all = remains;  // the timer goes with what it refers to
      all->again.reset();
      EndElsewhere(all);
    });
    remains->again->StartAfter(kTryAgain);
  });
}

}  // namespace

Runtime::Runtime(RuntimeOptions options)
    : options_(std::move(options)),
      clock_(options_.clock != nullptr ? *options_.clock : Clock::System()),
      log_(options_.log_sink != nullptr ? options_.log_sink : StderrLogSink(), options_.log_level),
      faults_(std::make_shared<CallbackFaults>(log_)),
      random_(std::make_shared<RandomSource>(options_.seed != 0 ? options_.seed
                                                                : KernelRandomSeed())) {}

absl::StatusOr<std::shared_ptr<Runtime>> Runtime::Create(RuntimeOptions options) {
  if (absl::Status s = DurationCheck::All("RuntimeOptions",
                                          {{"worker_idle", options.worker_idle},
                                           {"spin", options.spin, DurationCheck::Takes::kFinite}});
      !s.ok()) {
    return s;
  }
  std::shared_ptr<Runtime> runtime(new Runtime(std::move(options)));
  EventLoopOptions loop;
  loop.name = "weft-io";
  loop.clock = &runtime->clock_;
  loop.log = runtime->log_;
  loop.faults = runtime->faults_;
  loop.random = runtime->random_;
  loop.spin = ToNanos(runtime->options_.spin);
  // One for all loops: the limit is the runtime's, whichever connections use it up.
  loop.output_budget = std::make_shared<OutputBudget>(runtime->options_.max_output_bytes);
  loop.input_budget = std::make_shared<InputBudget>(runtime->options_.max_input_bytes,
                                                    "max_input_bytes of the runtime");
  absl::StatusOr<std::unique_ptr<LoopGroup>> loops =
      LoopGroup::Create(runtime->options_.io_threads, loop, runtime->options_.steps);
  if (!loops.ok()) return loops.status();
  runtime->loops_ = *std::move(loops);
  return runtime;
}

absl::StatusOr<WorkerPool*> Runtime::StartPool(std::string thread_name, const PoolOptions& options,
                                               std::unique_ptr<WorkerPool>* pool) {
  if (*pool == nullptr) {
    WorkerPoolOptions own;
    own.name = std::move(thread_name);
    own.threads = options.threads;
    own.max_threads = options.max_threads;
    own.queue_limit = options.queue;
    own.idle_after = ToNanos(options_.worker_idle);
    own.faults = faults_;
    own.log = log_;
    own.steps = options_.steps;
    own.random = random_;
    absl::StatusOr<std::unique_ptr<WorkerPool>> made = WorkerPool::Create(std::move(own));
    if (!made.ok()) return made.status();
    *pool = *std::move(made);
  }
  return pool->get();
}

absl::StatusOr<WorkerPool*> Runtime::workers() {
  // The mutex may have been held by a thread that the child does not have.
  if (home_.InForkedChild()) return ForkGuard::Refused("runtime");
  // The pool is started when it is first asked for: a client without handlers has no workers.
  const PoolOptions shared = {.threads = options_.worker_threads,
                              .max_threads = options_.max_worker_threads,
                              .queue = options_.worker_queue};
  MutexLock lock(mu_);
  return StartPool("weft-work", shared, &workers_);
}

absl::StatusOr<WorkerPool*> Runtime::workers(const std::string& name) {
  if (home_.InForkedChild()) return ForkGuard::Refused("runtime");
  const auto it = options_.pools.find(name);
  if (it == options_.pools.end()) {
    std::vector<std::string> names;
    for (const auto& [each, options] : options_.pools) names.push_back(each);
    return absl::NotFoundError(absl::StrCat("there is no worker pool ", name, "; pools here: ",
                                            names.empty() ? "none" : absl::StrJoin(names, ", "),
                                            " (pools of the server, or of its runtime)"));
  }
  MutexLock lock(mu_);
  return StartPool(absl::StrCat("weft-", name), it->second, &pools_[name]);
}

Runtime::~Runtime() WEFT_NO_THREAD_ANALYSIS {
  if (home_.InForkedChild()) {
    for (auto& [name, pool] : pools_) {
      ForkGuard::LeaveBehind(std::shared_ptr<WorkerPool>(std::move(pool)));
    }
    ForkGuard::LeaveBehind(std::shared_ptr<WorkerPool>(std::move(workers_)));
    ForkGuard::LeaveBehind(std::shared_ptr<LoopGroup>(std::move(loops_)));
    return;
  }
  std::vector<std::unique_ptr<WorkerPool>> pools;
  if (workers_ != nullptr) pools.push_back(std::move(workers_));
  for (auto& [name, pool] : pools_) {
    if (pool != nullptr) pools.push_back(std::move(pool));
  }
  if (options_.steps != nullptr) {
    if (loops_ == nullptr) return;
    // The last reference may go inside a step of one of its own loops, which cannot be closed under
    // itself.
    options_.steps->RunBetween([pools = std::make_shared<decltype(pools)>(std::move(pools)),
                                loops = std::shared_ptr<LoopGroup>(std::move(loops_))] {
      for (const auto& pool : *pools) pool->Stop();
      loops->Stop();
      pools->clear();  // what the loops cancel may still be theirs
    });
    return;
  }
  // A thread of another runtime's may be what one of ours waits for, and must not wait either.
  const bool own_thread =
      EventLoop::Current() != nullptr || CallbackQueue::InCallback() ||
      std::any_of(pools.begin(), pools.end(), [](const auto& pool) { return pool->InPool(); });
  if (!own_thread) {
    // Pools first: their items may post to the loops, and a closed loop would cancel what they
    // finish.
    for (const auto& pool : pools) pool->Stop();
    if (loops_ != nullptr) loops_->Stop();
    return;
  }
  if (loops_ == nullptr) return;  // none was ever started
  // A thread cannot join itself, and a callback must not wait.
  auto remains = std::make_shared<Remains>();
  remains->log = log_;
  remains->loops = std::move(loops_);
  remains->pools = std::move(pools);
  EndElsewhere(std::move(remains));
}

}  // namespace weft
