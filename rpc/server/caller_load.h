// The load that one connection puts on a pool that is watched for overload: its calls under way
// there, and whether its part of the queue stands. Calls of other connections do not count, so a
// connection that keeps thousands waiting is shed, and a quiet one beside it is not.
//
// CallerShares makes one for a connection's first call to such a pool. The connection keeps it.
//
// Threads  any, through its HandlerPoolLoad
#ifndef WEFT_RPC_SERVER_CALLER_LOAD_H_
#define WEFT_RPC_SERVER_CALLER_LOAD_H_

#include <atomic>
#include <cstdint>

#include "weft/core/clock.h"
#include "weft/core/thread_contract.h"
#include "weft/core/work_share.h"
#include "weft/rpc/server/codel.h"

namespace weft::internal {

class WEFT_ANY_THREAD CallerLoad final : public WorkShare {
 public:
  CallerLoad(Nanos target, Nanos interval) : standing_(target, interval) {}

  int64_t calls() const { return calls_.load(std::memory_order_relaxed); }
  bool stands() const { return stands_.load(std::memory_order_relaxed); }
  // The present wait of its calls; only with `shed`.
  Nanos present_wait() const { return Nanos(present_wait_.load(std::memory_order_relaxed)); }

 private:
  friend class HandlerPoolLoad;

  CoDel standing_;  // under the HandlerPoolLoad's mutex
  std::atomic<int64_t> calls_{0};
  std::atomic<int64_t> present_wait_{0};
  std::atomic<bool> stands_{false};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_CALLER_LOAD_H_
