// Runs the calls of methods that have an order one at a time by key: of one connection, of one key,
// or of one key that is in the request. Those of a node (CallOrigin::way) have their order over all
// its connections, in the lines of the dispatcher.
//
//   Begin: a place in line ──► Add: it is whole ──► its turn ──► answered ──► OnAnswered: the next
//
// A large request takes its place when its first piece comes, so that smaller ones do not overtake
// it; where the key is in the request it takes its place when it is whole.
//
// A member of LoopDispatcher.
//
// Threads  loop-only, but for OnAnswered
// Owns     the queues of keys, by handler pool and of inline methods; calls stay their pool's
// Errors   answers a call whose key cannot be told, that its queue has no room for, or that a
//          node's later connection has overtaken
// Ends     lives as long as its loop's LoopDispatcher
#ifndef WEFT_RPC_SERVER_CALL_ORDER_H_
#define WEFT_RPC_SERVER_CALL_ORDER_H_

#include <cstddef>
#include <cstdint>
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

namespace weft::internal {

class CallOrder {
 public:
  // The dispatcher serves. `cache`: of the loop, for methods that run on it.
  CallOrder(EventLoop& loop, Dispatcher& dispatcher, const CallerShares& shares,
            MessageCache& cache);

  // The first piece of a request has come, and its key is known without the rest. The call takes
  // its place in line, if there is a place.
  void Begin(InboundCall& call) WEFT_LOOP_ONLY;
  // The request is whole. The call runs when its turn comes, which may be now, or is refused.
  void Add(InboundCall& call) WEFT_LOOP_ONLY;
  // Refuses the calls of `origin` that wait for their turn at its share number `place`.
  void RefuseAll(const CallOrigin& origin, size_t place) WEFT_LOOP_ONLY;
  // Refuses the waiting calls of a node's connection, at all shares.
  void RefuseAllOfNode(const CallOrigin& origin) WEFT_LOOP_ONLY;
  // The call, which has its place in line, has been answered.
  WEFT_ANY_THREAD void OnAnswered(InboundCall& call);

 private:
  // Requests up to this size are copied: a call may wait for long behind others of its key, and
  // would keep the input block.
  static constexpr size_t kSmall = size_t{4} << 10;

  // Runs the calls of inline methods on the loop, whichever thread asks for it.
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
    MessageCache& cache_ WEFT_LOOP_OWNED;
  };

  enum class Queued : uint8_t { kYes, kFull, kLate };
  Queued TryQueue(InboundCall& call, SerialKey key, bool ready) WEFT_LOOP_ONLY;
  Queued TryQueueOfNode(InboundCall& call, SerialKey key, bool ready) WEFT_LOOP_ONLY;
  SerialExecutor& SerialOf(const InboundCall& call) const {
    const BoundMethod& bound = *call.bound;
    if (call.origin->way != nullptr) return dispatcher_.node_lines().Of(bound);
    return bound.run_inline ? *inline_serial_ : *serial_[bound.handler_pool];
  }

  Dispatcher& dispatcher_;
  const CallerShares& shares_;
  InlineQueue inline_queue_;
  // The queues of keys for each handler pool, and for inline methods. Fixed at construction.
  std::vector<std::shared_ptr<SerialExecutor>> serial_;
  std::shared_ptr<SerialExecutor> inline_serial_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_CALL_ORDER_H_
