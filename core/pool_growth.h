// The thread that adds workers to a pool while items wait and every worker is blocked.
//
//   parked ──AskToLook──► looks every 500 µs ──nothing to do any more──► parked
//
// Two looks at which nothing was taken in between, and at both of which every worker stood still:
// one worker more. A pool that cannot grow says so once in the log, and is tried again four times a
// second.
//
// Threads  AskToLook: any. Start and Stop: the pool's owner
// Owns     its thread
// Errors   Start: RESOURCE_EXHAUSTED when the thread cannot be started
// Ends     Stop joins the thread; the host is asked nothing after it
#ifndef WEFT_CORE_POOL_GROWTH_H_
#define WEFT_CORE_POOL_GROWTH_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/log.h"
#include "weft/core/parker.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

// The pool, seen by what makes it grow. Any thread.
class GrowthHost {
 public:
  // Items wait, nobody is idle, and there may be more workers.
  virtual bool Overloaded() const = 0;
  // Items that workers have taken so far.
  virtual uint64_t taken() const = 0;
  // Every worker is inside an item and has used (almost) no CPU since `*cpu_before`, which is
  // replaced.
  virtual bool AllBlocked(std::vector<Nanos>* cpu_before) = 0;
  // Nothing: there was no place for one.
  virtual std::optional<absl::Status> AddWorker() = 0;
  virtual int threads() const = 0;

 protected:
  ~GrowthHost() = default;
};

class WEFT_ANY_THREAD PoolGrowth {
 public:
  // How often it looks while items wait.
  static constexpr Nanos kLookEvery = std::chrono::microseconds(500);

  // `name`: of the pool.
  PoolGrowth(GrowthHost& host, const std::string& name, const Log& log)
      : host_(host), name_(name), log_(log) {}
  ~PoolGrowth() { Stop(); }

  absl::Status Start();
  void Stop();
  // Something waits, and no worker is idle.
  void AskToLook() {
    if (!looking_.load(std::memory_order_seq_cst) &&
        !looking_.exchange(true, std::memory_order_seq_cst)) {
      parker_.Unpark();
    }
  }

 private:
  bool wanted() const { return !stopping_.load(std::memory_order_acquire) && host_.Overloaded(); }
  void Run();
  void GrowWhileBlocked();
  // False: there is no thread to be had.
  bool Add();

  GrowthHost& host_;
  const std::string& name_;
  const Log& log_;
  std::atomic<bool> looking_{false};
  std::atomic<bool> stopping_{false};
  bool told_ = false;  // its thread's own: the log says that the pool cannot grow
  Parker parker_;
  std::thread thread_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_POOL_GROWTH_H_
