#include "weft/rpc/server/admission.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "weft/rpc/call/service.h"

namespace weft::internal {
namespace {

// Counts one more, if there are fewer than `most` (0: no limit). Adding first and taking back is
// enough here: the limit is never passed, though two calls that come at once may both be refused.
bool CountOneMore(int64_t most, std::atomic<int64_t>& count) {
  if (count.fetch_add(1, std::memory_order_relaxed) < most || most == 0) return true;
  count.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

}  // namespace

// Only this connection's loop lets its calls in, so its number cannot grow between this look and
// the counting.
bool Admission::HoldsLittle(const InboundCall& call) const {
  const int64_t connections =
      connections_ != nullptr ? connections_->load(std::memory_order_relaxed) : 1;
  if (call.origin == nullptr || connections <= 1) return true;
  return call.origin->places.held() < std::max<int64_t>(1, options_.max_calls / connections);
}

bool Admission::TakePlace(const InboundCall& call) {
  const int64_t most = options_.max_calls;
  const int64_t before = calls_.fetch_add(1, std::memory_order_relaxed);
  // The last eighth is a reserve for connections with few calls. The test is on the value before
  // this call, so two loops at once cannot take the same place.
  if (most > 0 && before >= most - std::max<int64_t>(1, most / kReserve) &&
      (before >= most || !HoldsLittle(call))) {
    calls_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  if (most > 0 && call.origin != nullptr) ++call.origin->places.taken;
  return true;
}

void Admission::GivePlaceBack(const InboundCall& call) {
  calls_.fetch_sub(1, std::memory_order_relaxed);
  if (options_.max_calls > 0 && call.origin != nullptr) {
    call.origin->places.given_back.fetch_add(1, std::memory_order_relaxed);
  }
}

void Admission::AddHandlerPool(int threads) {
  if (watches_pools())
    handler_pools_.push_back(std::make_unique<HandlerPoolLoad>(options_, threads));
}

HandlerPoolLoad* Admission::HandlerPoolOf(const InboundCall& call) const {
  const BoundMethod& bound = *call.bound;
  if (handler_pools_.empty() || bound.run_inline || MethodRules::Of(bound)->serial())
    return nullptr;
  return handler_pools_[bound.handler_pool].get();
}

absl::Status Admission::Admit(InboundCall& call, MonoTime now) {
  MethodRules& rules = *MethodRules::Of(*call.bound);
  if (!TakePlace(call)) {
    const int64_t now_held = calls_.load(std::memory_order_relaxed);
    return absl::ResourceExhaustedError(absl::StrCat(
        "the ", side_.name, " is overloaded: ", now_held, " calls are under way, the limit is ",
        options_.max_calls,
        now_held < options_.max_calls ? ", of which the last are for connections with fewer" : "",
        " (", side_.max_calls, ")"));
  }
  absl::Status refused;
  if (!CountOneMore(rules.max_calls, rules.calls)) {
    refused = absl::ResourceExhaustedError(absl::StrCat(
        std::string(call.bound->method->info->full_name), ": ",
        rules.calls.load(std::memory_order_relaxed), " calls are under way, the limit is ",
        rules.max_calls, " (max_calls of the method)"));
  } else if (HandlerPoolLoad* handler_pool = HandlerPoolOf(call)) {
    refused = AdmitToPool(call, *handler_pool, now);
    if (!refused.ok()) rules.calls.fetch_sub(1, std::memory_order_relaxed);
  }
  // Only an admitted call is given back by OnAnswered: what was counted for a refused one goes back
  // here.
  call.serving.admitted = refused.ok();
  if (!refused.ok()) GivePlaceBack(call);
  return refused;
}

absl::Status Admission::AdmitToPool(InboundCall& call, HandlerPoolLoad& handler_pool,
                                    MonoTime now) {
  CallerLoad& caller = CallerOf(call, handler_pool);
  // Refuse now, while it costs nothing, what would surely miss its deadline. Without a standing
  // queue the estimate says nothing.
  if (caller.stands() && call.deadline != kNever) {
    const Nanos needed = caller.present_wait() + MethodRules::Of(*call.bound)->typical_time();
    if (call.deadline - now < needed) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the server is overloaded: the call has ", InMs(call.deadline - now),
                       " left and would need ", InMs(needed), " (overload.shed of the server)"));
    }
  }
  if (handler_pool.TryEnter(caller)) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the server is overloaded: ", handler_pool.calls(),
                   " calls are under way for its pool, the limit is ", handler_pool.limit(),
                   " at present (overload.adaptive of the server)"));
}

absl::Status Admission::OnStart(InboundCall& call) {
  call.serving.started = call.clock->Now();
  HandlerPoolLoad* const handler_pool = HandlerPoolOf(call);
  if (handler_pool == nullptr) return absl::OkStatus();
  CallerLoad& caller = CallerOf(call, *handler_pool);
  const Nanos wait = call.serving.started - call.received;
  if (handler_pool->OnStart(caller, call.serving.started, wait)) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the server is overloaded: the call waited ", InMs(wait),
        " in a queue that stands, more than twice the target of ",
        InMs(ToNanos(options_.queue_target)), " (overload.queue_target of the server)"));
  }
  // The second look: the wait is known now, so only the handler's usual time is estimated.
  const Nanos needed = MethodRules::Of(*call.bound)->typical_time();
  if (caller.stands() && call.deadline != kNever && call.serving.started < call.deadline &&
      call.deadline - call.serving.started < needed) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the server is overloaded: after ", InMs(wait), " in the queue the call has ",
                     InMs(call.deadline - call.serving.started), " left and would need ",
                     InMs(needed), " (overload.shed of the server)"));
  }
  return absl::OkStatus();
}

void Admission::Leave(InboundCall& call) {
  MethodRules& rules = *MethodRules::Of(*call.bound);
  if (HandlerPoolLoad* handler_pool = HandlerPoolOf(call))
    handler_pool->Leave(CallerOf(call, *handler_pool));
  rules.calls.fetch_sub(1, std::memory_order_relaxed);
  GivePlaceBack(call);
  // Refused calls did not run their handler, and would make its usual time look short.
  if (options_.shed && !call.refused()) rules.AddTime(call.answered - call.serving.started);
}

}  // namespace weft::internal
