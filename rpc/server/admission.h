// Decides whether a call is let in: on the loop, before its request is parsed and before it takes a
// place in a queue; and once more when a worker takes it, whether it is still worth its time.
//
//   Admit ─► queue ─► OnStart ─► handler ─► answer: Leave          each may refuse, Leave follows
//
// Three limits hold at once: the server's, the method's, and the adaptive one of the pool. Calls
// that have an order wait for each other, not for the pool: they count for the first two alone.
//
// All but the method's are fair. The adaptive limit and the look at waits: each connection has its
// part of the limit, and is judged by how long its own calls wait. A call whose pool is watched
// comes with its connection's CallerLoad as its share. The server's: while several connections are
// open, the last kReserve-th of it is for those that hold less than the limit divided by the
// connections. So one that holds its calls for ever leaves room for the others; the limit itself is
// never passed.
//
// A member of Dispatcher, shared by all loops of a server.
//
// Threads  Admit: the call's loop. OnStart: the call's worker. Leave: any
// Errors   RESOURCE_EXHAUSTED, naming number, limit and setting; the call has not been executed
#ifndef WEFT_RPC_SERVER_ADMISSION_H_
#define WEFT_RPC_SERVER_ADMISSION_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/overload_options.h"
#include "weft/rpc/server/handler_pool_load.h"
#include "weft/rpc/server/method_rules.h"
#include "weft/rpc/server/serving_side.h"

namespace weft::internal {

class Admission {
 public:
  // The reserve is the limit of the server divided by this, and at least one call.
  static constexpr int64_t kReserve = 8;

  explicit Admission(const OverloadOptions& options, const ServingSide& side = kServerServes)
      : options_(options), side_(side) {}

  // True if calls are checked even when their method has no limit of its own.
  bool watches_all() const { return options_.max_calls > 0 || watches_pools(); }
  // Sets the count of open connections, before the first call. Without it, there is one connection.
  void SetConnections(std::shared_ptr<const std::atomic<int64_t>> connections) {
    connections_ = std::move(connections);
  }
  // HandlerPools are added in their order, before the first call.
  void AddHandlerPool(int threads);

  // Lets a call in, or refuses it. On the loop, at `now`. OK: the call is counted, and
  // `call.serving.admitted` says so.
  absl::Status Admit(InboundCall& call, MonoTime now);
  // A worker has taken an admitted call.
  WEFT_ANY_THREAD absl::Status OnStart(InboundCall& call);
  // An admitted call has been answered.
  WEFT_ANY_THREAD void Leave(InboundCall& call);

  // The load of the handler pool of that number; null if pools are not watched.
  HandlerPoolLoad* load(size_t handler_pool) const {
    return handler_pool < handler_pools_.size() ? handler_pools_[handler_pool].get() : nullptr;
  }

 private:
  bool watches_pools() const { return options_.adaptive || options_.shed; }
  // Counts one more of the server's calls. False: it is one too many.
  bool TakePlace(const InboundCall& call);
  void GivePlaceBack(const InboundCall& call);
  // True if the call may have a place of the reserve.
  bool HoldsLittle(const InboundCall& call) const;
  absl::Status AdmitToPool(InboundCall& call, HandlerPoolLoad& handler_pool, MonoTime now);
  // The load of the handler pool in whose queue the call waits; null: none that is watched.
  HandlerPoolLoad* HandlerPoolOf(const InboundCall& call) const;
  static CallerLoad& CallerOf(const InboundCall& call, HandlerPoolLoad& handler_pool) {
    return call.share() != nullptr ? static_cast<CallerLoad&>(*call.share())
                                   : handler_pool.nobody();
  }

  const OverloadOptions options_;
  const ServingSide side_;
  std::shared_ptr<const std::atomic<int64_t>> connections_;  // null: one
  std::vector<std::unique_ptr<HandlerPoolLoad>> handler_pools_;
  alignas(64) std::atomic<int64_t> calls_{0};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_ADMISSION_H_
