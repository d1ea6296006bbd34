// Finds a call's method and runs its handler. A LoopDispatcher brings calls here, on a handler
// pool's thread or on the loop.
//
// Exceptions of handlers are caught here, and nowhere else.
//
// A Server has one for all its loops, and a Channel with services one of its own.
//
// Threads  Add, Configure, Serve: before the first call. Everything else: any
// Owns     the table of methods, their rules and statistics, its handler pools; refers to services
// Ends     lives until the last call that refers to it is back in its pool
#ifndef WEFT_RPC_SERVER_DISPATCHER_H_
#define WEFT_RPC_SERVER_DISPATCHER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/core/gate.h"
#include "weft/core/runtime.h"
#include "weft/rpc/base/method_stats.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/call/interceptor.h"
#include "weft/rpc/call/message_cache.h"
#include "weft/rpc/call/service.h"
#include "weft/rpc/method_options.h"
#include "weft/rpc/overload_options.h"
#include "weft/rpc/server/admission.h"
#include "weft/rpc/server/handler_pool.h"
#include "weft/rpc/server/method_rules.h"
#include "weft/rpc/server/node_lines.h"
#include "weft/rpc/server/serving_side.h"

namespace weft::internal {

class Dispatcher final : public MessageKeeper {
 public:
  // The name of the pool for methods that name none.
  static constexpr std::string_view kDefaultPool = "default";

  // `run_inline`: every handler runs on the loop.
  // `max_write_wait`: of blocking writes; zero: no limit.
  explicit Dispatcher(bool run_inline, ServerInterceptors interceptors = {},
                      const OverloadOptions& overload = {}, const ServingSide& side = kServerServes,
                      Nanos max_write_wait = Nanos::zero())
      : run_inline_(run_inline),
        side_(side),
        max_write_wait_(max_write_wait),
        interceptors_(std::move(interceptors)),
        admission_(overload, side) {}

  // ALREADY_EXISTS when a service of that name is there.
  absl::Status Add(Service& service, const ServiceOptions& options = {});
  // NOT_FOUND when there is no such method.
  absl::Status Configure(std::string_view full_name, MethodOptions options);
  // Makes it ready for calls. Starts the pools that methods use. NOT_FOUND if a method names a pool
  // that `runtime` does not have.
  absl::Status Serve(Runtime& runtime);

  const BoundMethod* Find(std::string_view full_name) const;
  // True if a service of that full name was added.
  bool Has(std::string_view service) const;
  absl::Status Unknown(std::string_view full_name) const;
  std::vector<MethodStatsSnapshot> Stats() const;

  // Runs the handler here, on the thread that `cache` belongs to.
  void Run(InboundCall& call, MessageCache& cache);
  // Answers a call that can no longer run.
  static void RefuseStopped(InboundCall& call);

  // MessageKeeper. Frees messages that idle workers keep. Every loop calls it; it looks once in a
  // period.
  void GiveBack(MonoTime now) override;

  // Called when every call has been answered and no more can come: `quiet` runs, here or on a
  // worker, once no worker is inside one of them any more.
  void WhenQuiet(Gate::Callback quiet);
  // True on a thread of one of its pools.
  bool InPool() const;

  // The first one is the pool kDefaultPool.
  const std::vector<std::unique_ptr<HandlerPool>>& handler_pools() const { return handler_pools_; }
  // Valid once it serves.
  const NodeLines& node_lines() const { return *node_lines_; }
  WorkerPool& pool() { return handler_pools_.front()->pool(); }
  Admission& admission() { return admission_; }
  const ServingSide& side() const { return side_; }

 private:
  struct Offered {
    BoundMethod bound;
    std::string pool;  // empty: that of kDefaultPool
    std::unique_ptr<MethodStats> stats;
    std::unique_ptr<MethodRules> rules;
  };
  MethodRules& RulesOf(Offered& offered);
  std::shared_ptr<const WriteWaits> WaitsOf(HandlerPool& handler_pool) const;
  void AddHandlerPool(std::string name, WorkerPool& pool);
  absl::StatusOr<uint16_t> HandlerPoolOf(const std::string& pool, Runtime& runtime);

  const bool run_inline_;
  const ServingSide side_;
  const Nanos max_write_wait_;
  const ServerInterceptors interceptors_;
  Admission admission_;
  std::vector<Service*> services_;
  std::vector<std::unique_ptr<Offered>> offered_;
  absl::flat_hash_map<std::string, Offered*> methods_;
  std::vector<std::unique_ptr<HandlerPool>> handler_pools_;
  std::unique_ptr<const NodeLines> node_lines_;
  std::atomic<MonoTime> next_give_back_{MonoTime()};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_DISPATCHER_H_
