#include "weft/rpc/server/loop_dispatcher.h"

namespace weft::internal {

void LoopDispatcher::OnCallBegins(InboundCall& call) {
  const MethodRules* const rules = MethodRules::Of(*call.bound);
  if (rules == nullptr || !rules->serial() || !rules->key_comes_first()) return;
  call.serving.listener = this;
  order_.Begin(call);
}

void LoopDispatcher::OnCall(InboundCall& call) {
  const BoundMethod& bound = *call.bound;
  if (const MethodRules* const rules = MethodRules::Of(bound)) {
    // The listener is set first: a refused call is answered, too, and OnAnswered finds nothing to
    // do for it.
    call.serving.listener = this;
    if (rules->counted && !Admit(call)) return;
    if (rules->serial()) {
      order_.Add(call);
      return;
    }
  }
  if (bound.run_inline) {
    dispatcher_.Run(call, cache_);
    return;
  }
  batches_.Add(call);
}

bool LoopDispatcher::Admit(InboundCall& call) {
  // Admission judges a call by its connection, so the share must be there before it is asked.
  if (!call.bound->run_inline && !MethodRules::Of(*call.bound)->serial() &&
      dispatcher_.admission().load(call.bound->handler_pool) != nullptr) {
    call.SetShare(shares_.Of(call).get());
  }
  absl::Status refused = dispatcher_.admission().Admit(call, loop_.now());
  if (!refused.ok()) call.Refuse(refused);
  return refused.ok();
}

void LoopDispatcher::OnAnswered(InboundCall& call) {
  if (call.serving.admitted) dispatcher_.admission().Leave(call);
  if (call.serving.queue != nullptr) order_.OnAnswered(call);
}

void LoopDispatcher::OnCancelled(InboundCall& call) {
  // Withdraw succeeds only for calls that wait in the connection's own line. A call in the shared
  // ring leaves in its turn (decision 0022).
  if (call.share() == nullptr ||
      !dispatcher_.handler_pools()[call.bound->handler_pool]->pool().Withdraw(call)) {
    return;
  }
  const absl::Status why = call.CheckStillWanted();
  call.Refuse(why.ok() ? absl::CancelledError("cancelled before it was executed") : why);
}

void LoopDispatcher::OnAllCancelled(CallOrigin& origin) {
  const auto& handler_pools = dispatcher_.handler_pools();
  if (origin.way != nullptr) order_.RefuseAllOfNode(origin);
  for (size_t i = 0; i < origin.shares.size(); ++i) {
    if (origin.shares[i] == nullptr) continue;
    // Ordered calls first: their queues may themselves stand in the share's line.
    order_.RefuseAll(origin, i);
    if (i < handler_pools.size()) handler_pools[i]->pool().CancelAll(*origin.shares[i]);
  }
}

}  // namespace weft::internal
