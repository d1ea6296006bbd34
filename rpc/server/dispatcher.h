// Finds a call's method and runs its handler: on its worker pool, a loop turn's calls at once, or
// on the loop. Calls that have an order go through a serial executor first.
//
// The one place that catches what handlers throw.
//
// Threads  Add, Configure, Serve: before the first call. Find, Run: any. A LoopDispatcher: its loop
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
#include "weft/core/event_loop.h"
#include "weft/core/loop_task.h"
#include "weft/core/runtime.h"
#include "weft/core/serial_executor.h"
#include "weft/core/work_queue.h"
#include "weft/rpc/base/method_stats.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/call/inbound_sink.h"
#include "weft/rpc/call/interceptor.h"
#include "weft/rpc/call/message_cache.h"
#include "weft/rpc/call/service.h"
#include "weft/rpc/method_options.h"
#include "weft/rpc/overload_options.h"
#include "weft/rpc/server/admission.h"
#include "weft/rpc/server/handler_pool.h"
#include "weft/rpc/server/method_rules.h"
#include "weft/rpc/server/serving_side.h"

namespace weft {

class Dispatcher final : public MessageKeeper {
 public:
  // The name of the pool that methods use which name none.
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
  // From now on calls may come. Starts the pools that methods use; NOT_FOUND where one names a pool
  // that `runtime` does not have.
  absl::Status Serve(Runtime& runtime);

  const BoundMethod* Find(std::string_view full_name) const;
  absl::Status Unknown(std::string_view full_name) const;
  std::vector<MethodStatsSnapshot> Stats() const;

  // Runs the handler here, on the thread that `cache` belongs to.
  void Run(InboundCall& call, MessageCache& cache);
  // Answers a call that can no longer run.
  static void RefuseStopped(InboundCall& call);

  // MessageKeeper: those of idle workers, asked by each loop; looks once in a period.
  void GiveBack(MonoTime now) override;

  // No worker is inside a call; asked when every call has been answered and no more can come.
  bool Quiet() const;
  // This is a thread of one of its pools.
  bool InPool() const;

  // The first is that of kDefaultPool.
  const std::vector<std::unique_ptr<HandlerPool>>& handler_pools() const { return handler_pools_; }
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
  std::atomic<MonoTime> next_give_back_{MonoTime()};
};

// A loop's way into the dispatcher: gathers the calls of a turn, keeps those in order that have
// one. Each connection has its share of each handler pool's queue.
class LoopDispatcher final : public InboundSink, public AnswerListener {
 public:
  // The dispatcher serves.
  LoopDispatcher(EventLoop& loop, Dispatcher& dispatcher);

  const BoundMethod* Find(std::string_view full_name) override {
    return dispatcher_.Find(full_name);
  }
  absl::Status Unknown(std::string_view full_name) override {
    return dispatcher_.Unknown(full_name);
  }
  void OnCallBegins(InboundCall& call) LOOP_ONLY override;
  void OnCall(InboundCall& call) LOOP_ONLY override;
  void OnLookedThrough(size_t size) LOOP_ONLY override;
  void OnCancelled(InboundCall& call) LOOP_ONLY override;
  void OnAllCancelled(CallOrigin& origin) LOOP_ONLY override;

  // AnswerListener
  ANY_THREAD void OnAnswered(InboundCall& call) override;

 private:
  // Requests that are a smaller part than this of what was read with them are copied.
  static constexpr size_t kSparse = 8;
  // Of calls that have an order, those of so many bytes are.
  static constexpr size_t kSmallInOrder = size_t{4} << 10;
  // Room for more calls of a turn does not stay.
  static constexpr size_t kMaxKept = 1024;

  class HandOver final : public LoopTask {
   public:
    explicit HandOver(LoopDispatcher* dispatcher) : dispatcher_(dispatcher) {}
    void Run() override { dispatcher_->HandOverBatches(); }
    void Cancel() override { dispatcher_->HandOverBatches(); }

   private:
    LoopDispatcher* const dispatcher_;
  };
  // Runs the calls of inline methods that have an order.
  class InlineQueue final : public WorkQueue, public CallRunner {
   public:
    explicit InlineQueue(LoopDispatcher& of) : of_(of) {}
    bool TrySubmit(WorkItem& item) override;
    void Requeue(WorkItem& item) override { Resume(item); }
    void Resume(WorkItem& item) override;
    void RunCall(InboundCall& call, int worker) override;
    void RefuseCall(InboundCall& call) override { Dispatcher::RefuseStopped(call); }

   private:
    LoopDispatcher& of_;
  };

  void HandOverBatches();
  // False: the executor has no room.
  bool TryQueue(InboundCall& call, SerialKey key, bool ready) LOOP_ONLY;
  void OnSerialCall(InboundCall& call) LOOP_ONLY;
  // What the call's connection has of its handler pool; of inline methods, where they have an
  // order.
  const std::shared_ptr<WorkShare>& ShareOf(const InboundCall& call) LOOP_ONLY;
  // Puts the call among those that are handed over at the turn's end.
  void AddToBatch(InboundCall& call, uint16_t handler_pool) LOOP_ONLY;
  // False: it was refused.
  bool Admit(InboundCall& call) LOOP_ONLY;
  SerialExecutor& SerialOf(const BoundMethod& bound) const {
    return bound.run_inline ? *inline_serial_ : *serial_[bound.handler_pool];
  }

  EventLoop& loop_;
  Dispatcher& dispatcher_;
  InlineQueue inline_queue_{*this};
  // Of each handler pool, and of inline methods; fixed at construction.
  std::vector<std::shared_ptr<SerialExecutor>> serial_;
  std::shared_ptr<SerialExecutor> inline_serial_;
  MessageCache cache_ LOOP_OWNED;
  std::vector<std::vector<WorkItem*>> batches_ LOOP_OWNED;  // by handler pool
  // Where the last call that was added comes from, which it keeps, and its share; null between
  // turns.
  const CallOrigin* last_origin_ LOOP_OWNED = nullptr;
  uint16_t last_pool_ LOOP_OWNED = 0;
  WorkShare* last_share_ LOOP_OWNED = nullptr;
  // Of batches_: those that keep a block of the input, since OnLookedThrough, and their bytes.
  std::vector<InboundCall*> keepers_ LOOP_OWNED;
  size_t kept_ LOOP_OWNED = 0;
  bool handing_over_ LOOP_OWNED = false;  // hand_over_ waits for the turn's end
  HandOver hand_over_{this};
};

}  // namespace weft

#endif  // WEFT_RPC_SERVER_DISPATCHER_H_
