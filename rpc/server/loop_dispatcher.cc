#include "weft/rpc/server/loop_dispatcher.h"

namespace weft {

void LoopDispatcher::OnCallBegins(InboundCall& call) {
  const MethodRules* rules = call.bound->rules;
  if (rules == nullptr || !rules->serial() || !rules->key_comes_first()) return;
  call.serving.listener = this;
  order_.Begin(call);
}

void LoopDispatcher::OnCall(InboundCall& call) {
  const BoundMethod& bound = *call.bound;
  if (bound.rules != nullptr) {
    // A call that is refused here is answered, too: OnAnswered finds nothing to do for it.
    call.serving.listener = this;
    if (bound.rules->counted && !Admit(call)) return;
    if (bound.rules->serial()) {
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
  if (!call.bound->run_inline && !call.bound->rules->serial() &&
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
  if (call.share() == nullptr ||
      !dispatcher_.handler_pools()[call.bound->handler_pool]->pool().Withdraw(call)) {
    return;
  }
  const absl::Status why = call.CheckStillWanted();
  call.Refuse(why.ok() ? absl::CancelledError("cancelled before it was executed") : why);
}

void LoopDispatcher::OnAllCancelled(CallOrigin& origin) {
  const auto& handler_pools = dispatcher_.handler_pools();
  for (size_t i = 0; i < origin.shares.size(); ++i) {
    if (origin.shares[i] == nullptr) continue;
    // First those that have an order: their queues may stand in the share's line.
    order_.RefuseAll(origin, i);
    if (i < handler_pools.size()) handler_pools[i]->pool().CancelAll(*origin.shares[i]);
  }
}

}  // namespace weft
