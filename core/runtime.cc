#include "weft/core/runtime.h"

#include <thread>
#include <utility>

namespace weft {

Runtime::Runtime(RuntimeOptions options)
    : options_(std::move(options)),
      clock_(options_.clock != nullptr ? *options_.clock : Clock::System()),
      log_(options_.log_sink != nullptr ? options_.log_sink : StderrLogSink(), options_.log_level) {
}

absl::StatusOr<std::shared_ptr<Runtime>> Runtime::Create(RuntimeOptions options) {
  std::shared_ptr<Runtime> runtime(new Runtime(std::move(options)));
  EventLoopOptions loop;
  loop.name = "weft-io";
  loop.clock = &runtime->clock_;
  loop.log = runtime->log_;
  loop.spin = ToNanos(runtime->options_.spin);
  absl::StatusOr<std::unique_ptr<LoopGroup>> loops =
      LoopGroup::Create(runtime->options_.io_threads, loop);
  if (!loops.ok()) return loops.status();
  runtime->loops_ = *std::move(loops);
  return runtime;
}

absl::StatusOr<WorkerPool*> Runtime::workers() {
  MutexLock lock(mu_);
  if (workers_ == nullptr) {
    WorkerPoolOptions pool;
    pool.name = "weft-work";
    pool.threads = options_.worker_threads;
    pool.max_threads = options_.max_worker_threads;
    pool.queue_limit = options_.worker_queue;
    pool.idle_after = ToNanos(options_.worker_idle);
    absl::StatusOr<std::unique_ptr<WorkerPool>> made = WorkerPool::Create(std::move(pool));
    if (!made.ok()) return made.status();
    workers_ = *std::move(made);
  }
  return workers_.get();
}

Runtime::~Runtime() WEFT_NO_THREAD_ANALYSIS {
  const bool own_thread =
      (loops_ != nullptr && loops_->InLoop()) || (workers_ != nullptr && workers_->InPool());
  if (!own_thread) {
    if (workers_ != nullptr) workers_->Stop();
    if (loops_ != nullptr) loops_->Stop();
    return;
  }
  // A thread cannot join itself: somebody else ends this one.
  std::thread([workers = std::move(workers_), loops = std::move(loops_)]() mutable {
    if (workers != nullptr) workers->Stop();
    loops->Stop();
  }).detach();
}

}  // namespace weft
