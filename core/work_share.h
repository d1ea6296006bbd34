// A connection's place in the queue of a worker pool: how many of its items stand in the ring that
// all share, and the others, in their order.
//
// Threads  any, through its FairQueue
// Owns     nothing: items stay their embedders'
// Ends     outlives its items: whoever submits one keeps its share until the item is over
#ifndef WEFT_CORE_WORK_SHARE_H_
#define WEFT_CORE_WORK_SHARE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "weft/core/check.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/core/work_line.h"

namespace weft::internal {

class WEFT_ANY_THREAD WorkShare {
 public:
  WorkShare() = default;
  virtual ~WorkShare() { WEFT_DCHECK(waiting() == 0 && ordered_waiting == 0); }
  WorkShare(const WorkShare&) = delete;
  WorkShare& operator=(const WorkShare&) = delete;

  // Items that wait in its own line, behind those in the ring.
  size_t parked() const { return parked_.load(std::memory_order_relaxed); }
  // Items that wait, those in the ring and the express included; up to half a quantum more while a
  // group of them is being taken.
  size_t waiting() const {
    const int32_t taken_in = in_ring_.load(std::memory_order_relaxed);
    return parked() + static_cast<size_t>(taken_in % kExpressWeight + taken_in / kExpressWeight);
  }

  // Items that wait for their turn in a SerialExecutor; guarded by its mutex.
  size_t ordered_waiting = 0;

 private:
  friend class FairQueue;
  // An express item in in_ring_: more than any quantum.
  static constexpr int32_t kExpressWeight = 1 << 20;

  std::atomic<int32_t> in_ring_{0};
  std::atomic<uint32_t> parked_{0};  // changed under mu_
  // It may go ahead of others again when so many items were taken out of the ring.
  std::atomic<uint64_t> next_express_{0};

  Mutex mu_;
  WorkLine line_ WEFT_GUARDED_BY(mu_);
};

}  // namespace weft::internal

#endif  // WEFT_CORE_WORK_SHARE_H_
