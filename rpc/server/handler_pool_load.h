// How busy a pool is: the calls under way for it, its limit, and whose calls wait for long.
//
// At the limit a connection is refused that has its part of the calls under way, the limit divided
// by the connections that have any; one that has less is let in, until twice the limit is under
// way.
//
// Admission has one for each handler pool, if pools are watched.
//
// Threads  any
#ifndef WEFT_RPC_SERVER_HANDLER_POOL_LOAD_H_
#define WEFT_RPC_SERVER_HANDLER_POOL_LOAD_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

#include "weft/core/clock.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/overload_options.h"
#include "weft/rpc/server/adaptive_limit.h"
#include "weft/rpc/server/caller_load.h"

namespace weft::internal {

class WEFT_ANY_THREAD HandlerPoolLoad {
 public:
  HandlerPoolLoad(const OverloadOptions& options, int threads)
      : adaptive_(options.adaptive),
        shed_(options.shed),
        target_(ToNanos(options.queue_target)),
        interval_(ToNanos(options.queue_interval)),
        adaptive_limit_(std::max<int64_t>(options.min_adaptive_calls, threads),
                        options.max_adaptive_calls, target_),
        limit_(adaptive_ ? adaptive_limit_.limit() : INT64_MAX),
        nobody_(target_, interval_) {}

  std::shared_ptr<CallerLoad> NewCaller() const {
    return std::make_shared<CallerLoad>(target_, interval_);
  }
  // The load of calls that come from no connection.
  CallerLoad& nobody() { return nobody_; }

  // Counts one more call, unless that is one too many.
  bool TryEnter(CallerLoad& caller) {
    // Counted first and taken back by Leave: a look before the counting would let several loops in
    // at once.
    const int64_t own = caller.calls_.fetch_add(1, std::memory_order_relaxed);
    if (own == 0) callers_.fetch_add(1, std::memory_order_relaxed);
    const int64_t all = calls_.fetch_add(1, std::memory_order_relaxed);
    const int64_t most = limit();
    if (all < most) return true;
    const int64_t callers = std::max<int64_t>(1, callers_.load(std::memory_order_relaxed));
    if (own < std::max<int64_t>(1, most / callers) && all / 2 < most && callers > 1) return true;
    Leave(caller);
    return false;
  }
  void Leave(CallerLoad& caller) {
    calls_.fetch_sub(1, std::memory_order_relaxed);
    if (caller.calls_.fetch_sub(1, std::memory_order_relaxed) == 1) {
      callers_.fetch_sub(1, std::memory_order_relaxed);
    }
  }

  // A call that entered has come to a worker. True: it has waited too long, and those behind it are
  // better served.
  bool OnStart(CallerLoad& caller, MonoTime now, Nanos wait) WEFT_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    if (adaptive_) {
      adaptive_limit_.Sample(now, wait, calls());
      limit_.store(adaptive_limit_.limit(), std::memory_order_relaxed);
    }
    if (!shed_) return false;
    caller.standing_.Sample(now, wait);
    caller.stands_.store(caller.standing_.stands(), std::memory_order_relaxed);
    // Smoothed: an eighth of each new wait, as TCP smooths its round trips.
    const Nanos before = caller.present_wait();
    caller.present_wait_.store((before + (wait - before) / 8).count(), std::memory_order_relaxed);
    return caller.standing_.GiveUp(wait);
  }

  int64_t calls() const { return calls_.load(std::memory_order_relaxed); }
  int64_t limit() const { return limit_.load(std::memory_order_relaxed); }

 private:
  const bool adaptive_;
  const bool shed_;
  const Nanos target_;
  const Nanos interval_;

  Mutex mu_;
  AdaptiveLimit adaptive_limit_ WEFT_GUARDED_BY(mu_);

  // Cache lines of their own: every loop counts calls, while the limit is mostly read.
  alignas(64) std::atomic<int64_t> calls_{0};
  std::atomic<int64_t> callers_{0};  // those that have calls under way
  alignas(64) std::atomic<int64_t> limit_;
  CallerLoad nobody_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_HANDLER_POOL_LOAD_H_
