// Finds a call's method and runs its handler: on the worker pool, a loop turn's calls at once, or
// on the loop.
//
// The one place that catches what handlers throw.
//
// Threads  Add: before the first call. Find, RunCall: any. A LoopDispatcher: its loop
// Owns     the table of methods and their statistics; refers to services
// Ends     lives until the last call that refers to it is back in its pool
#ifndef WEFT_RPC_SERVER_DISPATCHER_H_
#define WEFT_RPC_SERVER_DISPATCHER_H_

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "weft/core/event_loop.h"
#include "weft/core/loop_task.h"
#include "weft/core/worker_pool.h"
#include "weft/rpc/base/method_stats.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/call/inbound_sink.h"
#include "weft/rpc/call/interceptor.h"
#include "weft/rpc/call/message_cache.h"
#include "weft/rpc/call/service.h"

namespace weft {

class Dispatcher final : public CallRunner, public AnswerHint {
 public:
  // `run_inline`: every handler runs on the loop.
  explicit Dispatcher(bool run_inline, ServerInterceptors interceptors = {})
      : run_inline_(run_inline), interceptors_(std::move(interceptors)) {}

  // ALREADY_EXISTS when a service of that name is there.
  absl::Status Add(Service& service);
  // From now on calls may come; `pool` must have been started.
  void Serve(WorkerPool* pool);

  const BoundMethod* Find(std::string_view full_name) const;
  absl::Status Unknown(std::string_view full_name) const;
  std::vector<MethodStatsSnapshot> Stats() const;

  // CallRunner
  void RunCall(InboundCall& call, int worker) override;
  void RefuseCall(InboundCall& call) override;
  // No worker is inside RunCall; asked when every call has been answered and no more can come.
  bool Quiet() const;
  // AnswerHint
  bool MoreSoon() const override { return pool_->queued() > 0; }

  // On the loop.
  void RunInline(InboundCall& call, MessageCache& cache);
  WorkerPool& pool() { return *pool_; }

 private:
  // What belongs to one thread of the pool.
  struct alignas(64) Worker {
    MessageCache cache;
    std::atomic<bool> running{false};
  };
  void Run(InboundCall& call, MessageCache& cache);

  const bool run_inline_;
  const ServerInterceptors interceptors_;
  WorkerPool* pool_ = nullptr;
  std::vector<Service*> services_;
  std::vector<std::unique_ptr<MethodStats>> stats_;
  absl::flat_hash_map<std::string, BoundMethod> methods_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

// A loop's way into the dispatcher: gathers the calls of a turn.
class LoopDispatcher final : public InboundSink {
 public:
  LoopDispatcher(EventLoop& loop, Dispatcher& dispatcher) : loop_(loop), dispatcher_(dispatcher) {}

  const BoundMethod* Find(std::string_view full_name) override {
    return dispatcher_.Find(full_name);
  }
  absl::Status Unknown(std::string_view full_name) override {
    return dispatcher_.Unknown(full_name);
  }
  void OnCall(InboundCall& call) LOOP_ONLY override;

 private:
  class HandOver final : public LoopTask {
   public:
    explicit HandOver(LoopDispatcher* dispatcher) : dispatcher_(dispatcher) {}
    void Run() override { dispatcher_->HandOverBatch(); }
    void Cancel() override { dispatcher_->HandOverBatch(); }

   private:
    LoopDispatcher* const dispatcher_;
  };
  void HandOverBatch();

  EventLoop& loop_;
  Dispatcher& dispatcher_;
  MessageCache cache_ LOOP_OWNED;
  std::vector<WorkItem*> batch_ LOOP_OWNED;
  HandOver hand_over_{this};
};

}  // namespace weft

#endif  // WEFT_RPC_SERVER_DISPATCHER_H_
