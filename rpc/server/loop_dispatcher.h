// A loop's way into the dispatcher: takes each call of the loop's connections to where it runs.
//
//   OnCall ─► Admission, where calls are counted ─┬─► CallOrder, if its method has an order
//                                                 ├─► Dispatcher::Run here, if it is inline
//                                                 └─► TurnBatches ─► its handler pool
//
// A connection has a share of each handler pool's queue (CallerShares).
//
// ServerLoop has one for each loop; InboundService has one on its channel's loop.
//
// Threads  loop-only, but for OnAnswered, Find and Unknown
// Owns     the order of its loop's calls and the batches of its turn; refers to the dispatcher
// Ends     lives until every call that came here has been answered
#ifndef WEFT_RPC_SERVER_LOOP_DISPATCHER_H_
#define WEFT_RPC_SERVER_LOOP_DISPATCHER_H_

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/event_loop.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/call/inbound_sink.h"
#include "weft/rpc/call/message_cache.h"
#include "weft/rpc/server/call_order.h"
#include "weft/rpc/server/caller_shares.h"
#include "weft/rpc/server/dispatcher.h"
#include "weft/rpc/server/turn_batches.h"

namespace weft::internal {

class LoopDispatcher final : public InboundSink, public AnswerListener {
 public:
  // The dispatcher serves.
  LoopDispatcher(EventLoop& loop, Dispatcher& dispatcher)
      : loop_(loop),
        dispatcher_(dispatcher),
        shares_(dispatcher),
        order_(loop, dispatcher, shares_, cache_),
        batches_(loop, dispatcher, shares_) {}

  const BoundMethod* Find(std::string_view full_name) override {
    return dispatcher_.Find(full_name);
  }
  absl::Status Unknown(std::string_view full_name) override {
    return dispatcher_.Unknown(full_name);
  }
  void OnCallBegins(InboundCall& call) WEFT_LOOP_ONLY override;
  void OnCall(InboundCall& call) WEFT_LOOP_ONLY override;
  void OnLookedThrough(size_t size) WEFT_LOOP_ONLY override { batches_.OnLookedThrough(size); }
  void OnCancelled(InboundCall& call) WEFT_LOOP_ONLY override;
  void OnAllCancelled(CallOrigin& origin) WEFT_LOOP_ONLY override;

  // AnswerListener
  WEFT_ANY_THREAD void OnAnswered(InboundCall& call) override;

 private:
  // False: the call was refused.
  bool Admit(InboundCall& call) WEFT_LOOP_ONLY;

  EventLoop& loop_;
  Dispatcher& dispatcher_;
  const CallerShares shares_;
  MessageCache cache_ WEFT_LOOP_OWNED;
  CallOrder order_;
  TurnBatches batches_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_LOOP_DISPATCHER_H_
