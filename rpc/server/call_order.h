// Runs the calls of methods that have an order one at a time by key: of one connection, of one key,
// or of one key that is in the request.
//
//   Begin: a place in line ──► Add: it is whole ──► its turn ──► answered ──► OnAnswered: the next
//
// A large request takes its place when its first piece comes, so that smaller ones do not overtake
// it; where the key is in the request it takes its place when it is whole.
//
// Threads  loop-only, but for OnAnswered
// Owns     the queues of keys, by handler pool and of inline methods; calls stay their pool's
// Errors   answers a call whose key cannot be told, or that its queue has no room for
// Ends     lives as long as its loop's LoopDispatcher
#ifndef WEFT_RPC_SERVER_CALL_ORDER_H_
#define WEFT_RPC_SERVER_CALL_ORDER_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "weft/core/event_loop.h"
#include "weft/core/serial_executor.h"
#include "weft/core/thread_contract.h"
#include "weft/core/work_queue.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/call/message_cache.h"
#include "weft/rpc/server/caller_shares.h"
#include "weft/rpc/server/dispatcher.h"

namespace weft {

class CallOrder {
 public:
  // The dispatcher serves. `cache`: of the loop, for methods that run on it.
  CallOrder(EventLoop& loop, Dispatcher& dispatcher, const CallerShares& shares,
            MessageCache& cache);

  // The first piece of a request has come whose key comes first. The call takes its place in line,
  // if there is one.
  void Begin(InboundCall& call) LOOP_ONLY;
  // The request is whole. The call runs when its turn comes, now perhaps, or is refused.
  void Add(InboundCall& call) LOOP_ONLY;
  // Refuses the calls from there that wait for their turn at share number `place` of it.
  void RefuseAll(const CallOrigin& origin, size_t place) LOOP_ONLY;
  // The call, which has its place in line, has been answered.
  ANY_THREAD void OnAnswered(InboundCall& call);

 private:
  // Smaller requests are copied: behind others of its key a call may wait for long.
  static constexpr size_t kSmall = size_t{4} << 10;

  // Runs the calls of inline methods: on the loop.
  class InlineQueue final : public WorkQueue, public CallRunner {
   public:
    InlineQueue(EventLoop& loop, Dispatcher& dispatcher, MessageCache& cache)
        : loop_(loop), dispatcher_(dispatcher), cache_(cache) {}
    bool TrySubmit(WorkItem& item) override;
    void Requeue(WorkItem& item) override { Resume(item); }
    void Resume(WorkItem& item) override;
    void RunCall(InboundCall& call, int worker) override;
    void RefuseCall(InboundCall& call) override { Dispatcher::RefuseStopped(call); }

   private:
    EventLoop& loop_;
    Dispatcher& dispatcher_;
    MessageCache& cache_ LOOP_OWNED;
  };

  // False: the executor has no room.
  bool TryQueue(InboundCall& call, SerialKey key, bool ready) LOOP_ONLY;
  SerialExecutor& SerialOf(const BoundMethod& bound) const {
    return bound.run_inline ? *inline_serial_ : *serial_[bound.handler_pool];
  }

  Dispatcher& dispatcher_;
  const CallerShares& shares_;
  InlineQueue inline_queue_;
  // Of each handler pool, and of inline methods; fixed at construction.
  std::vector<std::shared_ptr<SerialExecutor>> serial_;
  std::shared_ptr<SerialExecutor> inline_serial_;
};

}  // namespace weft

#endif  // WEFT_RPC_SERVER_CALL_ORDER_H_
