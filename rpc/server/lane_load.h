// How busy a pool is: the calls under way for it, its limit, whether its queue stands.
//
// Threads  any
#ifndef WEFT_RPC_SERVER_LANE_LOAD_H_
#define WEFT_RPC_SERVER_LANE_LOAD_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "weft/core/clock.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/overload_options.h"
#include "weft/rpc/server/adaptive_limit.h"
#include "weft/rpc/server/standing_queue.h"

namespace weft {

class ANY_THREAD LaneLoad {
 public:
  LaneLoad(const OverloadOptions& options, int threads)
      : adaptive_(options.adaptive),
        shed_(options.shed),
        adaptive_limit_(std::max<int64_t>(options.least_calls, threads), options.most_calls,
                        ToNanos(options.queue_target)),
        standing_(ToNanos(options.queue_target), ToNanos(options.queue_interval)),
        limit_(adaptive_ ? adaptive_limit_.limit() : INT64_MAX) {}

  // One more call, unless that is one too many.
  bool TryEnter() {
    if (calls_.fetch_add(1, std::memory_order_relaxed) < limit()) return true;
    Leave();
    return false;
  }
  void Leave() { calls_.fetch_sub(1, std::memory_order_relaxed); }

  // A call that entered has come to a worker. True: it has waited too long, and those behind it are
  // better served.
  bool OnStart(MonoTime now, Nanos wait) WEFT_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    if (adaptive_) {
      adaptive_limit_.Sample(now, wait, calls());
      limit_.store(adaptive_limit_.limit(), std::memory_order_relaxed);
    }
    if (!shed_) return false;
    standing_.Sample(now, wait);
    stands_.store(standing_.stands(), std::memory_order_relaxed);
    // An eighth of each new one: as TCP smooths its round trips.
    const Nanos before = present_wait();
    present_wait_.store((before + (wait - before) / 8).count(), std::memory_order_relaxed);
    return standing_.GiveUp(wait);
  }

  int64_t calls() const { return calls_.load(std::memory_order_relaxed); }
  int64_t limit() const { return limit_.load(std::memory_order_relaxed); }
  bool stands() const { return stands_.load(std::memory_order_relaxed); }
  // How long calls wait at present; only with `shed`.
  Nanos present_wait() const { return Nanos(present_wait_.load(std::memory_order_relaxed)); }

 private:
  const bool adaptive_;
  const bool shed_;

  Mutex mu_;
  AdaptiveLimit adaptive_limit_ WEFT_GUARDED_BY(mu_);
  StandingQueue standing_ WEFT_GUARDED_BY(mu_);

  alignas(64) std::atomic<int64_t> calls_{0};
  alignas(64) std::atomic<int64_t> limit_;
  std::atomic<int64_t> present_wait_{0};
  std::atomic<bool> stands_{false};
};

}  // namespace weft

#endif  // WEFT_RPC_SERVER_LANE_LOAD_H_
