// The parts that servers, channels and nodes share: I/O threads, worker pools, the clock, the log.
//
// One is made once and given to all that should share it, by shared_ptr in their options; without
// one each makes a private one. Nothing is global. Thread counts are exact: `io_threads` loops and
// `worker_threads` workers, which may grow to `max_worker_threads`. Workers start with the first
// use of the pool.
//
// With `steps` it has no threads: its loops and workers run where their owner steps them, in the
// order that it chooses (core/step_set.h).
//
// Threads  any
// Owns     all its threads
// Errors   Create: a Status when threads or descriptors run out
// Ends     the last reference stops workers, then loops. It may go on one of its own threads: then
//          a thread that lives for a moment joins them, and while none can be started they go on
#ifndef WEFT_CORE_RUNTIME_H_
#define WEFT_CORE_RUNTIME_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/core/callback_faults.h"
#include "weft/core/fork_guard.h"
#include "weft/core/log.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"

namespace weft {

class Clock;
namespace internal {
class LoopGroup;
class RandomSource;
class StepSet;
class WorkerPool;
}  // namespace internal

// A worker pool beside the one that all share.
struct PoolOptions {
  // Threads for handlers. At least 1.
  int threads = 4;
  // The pool grows up to this while calls wait and every worker is blocked. 0: it does not grow.
  int max_threads = 0;
  // Calls that may wait for a worker; more are refused with RESOURCE_EXHAUSTED.
  size_t queue = 10'000;
};

struct RuntimeOptions {
  // I/O threads, each with its loop. At least 1.
  int io_threads = 1;
  // Threads for handlers. At least 1.
  int worker_threads = 4;
  // The pool grows up to this while calls wait and every worker is blocked. 0: it does not grow.
  int max_worker_threads = 0;
  // Calls that may wait for a worker; more are refused with RESOURCE_EXHAUSTED.
  size_t worker_queue = 10'000;
  // More pools, by name: a service or a method that names one shares no thread and no queue with
  // others.
  std::map<std::string, PoolOptions> pools = {};
  // How long an added worker stays without work. Zero: it leaves at once. Infinite: it stays.
  absl::Duration worker_idle = absl::Minutes(1);
  // The longest an I/O thread polls before it sleeps, while calls come closer than that. Zero: it
  // never polls. Infinite: refused.
  absl::Duration spin = absl::Microseconds(50);
  // Bytes waiting to be written on all connections of the runtime together; more than that is
  // refused with RESOURCE_EXHAUSTED. Counted in steps of 64 KiB a connection. 0: no limit.
  size_t max_output_bytes = size_t{1} << 30;
  // Bytes of input held on all connections of the runtime together: unfinished messages and frames,
  // requests until they are answered, messages of streams until they are read. More than that is
  // refused with RESOURCE_EXHAUSTED. Counted in steps of 64 KiB a connection, which may always hold
  // 128 KiB. 0: no limit.
  size_t max_input_bytes = size_t{1} << 30;
  // Lines of this level and above reach the sink; may be changed by log().
  LogLevel log_level = LogLevel::kInfo;
  // Where lines go; null: standard error.
  std::shared_ptr<LogSink> log_sink = nullptr;
  // Null: the system's.
  const Clock* clock = nullptr;
  // The seed of all random numbers on its threads: jitter, where tables begin. 0: the kernel gives
  // one.
  uint64_t seed = 0;
  // Runs its loops and workers, instead of threads (null). A runtime that is stepped has no
  // sockets, and lives, dies and is used on the thread that steps it.
  std::shared_ptr<internal::StepSet> steps = nullptr;
};

class WEFT_ANY_THREAD Runtime {
 public:
  static absl::StatusOr<std::shared_ptr<Runtime>> Create(RuntimeOptions options = {});
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  internal::LoopGroup& loops() { return *loops_; }
  // The pool that all share. Started by the first call.
  absl::StatusOr<internal::WorkerPool*> workers() WEFT_EXCLUDES(mu_);
  // The one of that name in RuntimeOptions::pools, started by the first call; NOT_FOUND where there
  // is none.
  absl::StatusOr<internal::WorkerPool*> workers(const std::string& name) WEFT_EXCLUDES(mu_);
  // In a process that was forked from the runtime's: none of its threads is there.
  bool InForkedChild() const { return home_.InForkedChild(); }
  const Clock& clock() const { return clock_; }
  // The one that it was made with.
  const std::shared_ptr<internal::StepSet>& steps() const { return options_.steps; }
  // The source of its random numbers, and of those on its threads.
  const std::shared_ptr<internal::RandomSource>& random() const { return random_; }
  // Its level and sink may be changed while it runs, also those of its servers and channels where
  // they have none of their own.
  const Log& log() const { return log_; }
  // Exceptions that callbacks, listeners and executors have let out on its threads, each caught and
  // logged.
  int64_t callback_throws() const { return faults_->count(); }

 private:
  explicit Runtime(RuntimeOptions options);
  absl::StatusOr<internal::WorkerPool*> StartPool(std::string thread_name,
                                                  const PoolOptions& options,
                                                  std::unique_ptr<internal::WorkerPool>* pool)
      WEFT_REQUIRES(mu_);

  const internal::ForkGuard home_;
  const RuntimeOptions options_;
  const Clock& clock_;
  const Log log_;
  const std::shared_ptr<internal::CallbackFaults> faults_;
  const std::shared_ptr<internal::RandomSource> random_;
  std::unique_ptr<internal::LoopGroup> loops_;
  internal::Mutex mu_;
  std::unique_ptr<internal::WorkerPool> workers_ WEFT_GUARDED_BY(mu_);
  std::map<std::string, std::unique_ptr<internal::WorkerPool>> pools_ WEFT_GUARDED_BY(mu_);
};

}  // namespace weft

#endif  // WEFT_CORE_RUNTIME_H_
