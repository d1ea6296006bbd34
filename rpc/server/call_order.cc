#include "weft/rpc/server/call_order.h"

#include <exception>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "weft/core/callback_queue.h"
#include "weft/rpc/base/wire_status.h"

namespace weft {
namespace {

// What the call is run one at a time with.
absl::StatusOr<SerialKey> KeyOfCall(InboundCall& call) {
  const MethodRules& rules = *call.bound->rules;
  const CallbackQueue::Scope hook(CallbackQueue::Here());
  SerialKey key;
  key.owner = call.origin.get();
  try {
    if (rules.request_key != nullptr) {
      const absl::StatusOr<std::string_view> request = call.MessageBytes();
      if (!request.ok()) return request.status();
      key.name = rules.request_key(call.context(), *request);
    } else if (rules.key != nullptr) {
      key.name = rules.key(call.context());
    } else {
      key.kind = &rules;
    }
  } catch (...) {
    return Annotate(HandlerThrew(*call.bound->method->info, std::current_exception()),
                    "the method's key");
  }
  return key;
}

}  // namespace

bool CallOrder::InlineQueue::TrySubmit(WorkItem& item) {
  item.Run(0);
  return true;
}

void CallOrder::InlineQueue::Resume(WorkItem& item) {
  loop_.Post([&item](TaskFate fate) {
    if (fate == TaskFate::kRun) {
      item.Run(0);
    } else {
      item.Cancel();
    }
  });
}

void CallOrder::InlineQueue::RunCall(InboundCall& call, int) {
  loop_.AssertInLoop();
  dispatcher_.Run(call, cache_);
}

CallOrder::CallOrder(EventLoop& loop, Dispatcher& dispatcher, const CallerShares& shares,
                     MessageCache& cache)
    : dispatcher_(dispatcher), shares_(shares), inline_queue_(loop, dispatcher, cache) {
  for (const auto& handler_pool : dispatcher.handler_pools()) {
    serial_.push_back(
        std::make_shared<SerialExecutor>(handler_pool->pool(), handler_pool->pool().queue_limit()));
  }
  inline_serial_ = std::make_shared<SerialExecutor>(inline_queue_, dispatcher.pool().queue_limit());
}

bool CallOrder::TryQueue(InboundCall& call, SerialKey key, bool ready) {
  const BoundMethod& bound = *call.bound;
  call.serving.runner = bound.run_inline ? static_cast<CallRunner*>(&inline_queue_)
                                         : dispatcher_.handler_pools()[bound.handler_pool].get();
  // It may be over when this returns.
  if (SerialOf(bound).TrySubmit(std::move(key), call, &call.serving.queue, ready,
                                shares_.Of(call))) {
    return true;
  }
  call.serving.queue = nullptr;
  return false;
}

void CallOrder::Begin(InboundCall& call) {
  if (!call.ParseMetadata().ok()) return;
  absl::StatusOr<SerialKey> key = KeyOfCall(call);
  if (key.ok()) (void)TryQueue(call, *std::move(key), /*ready=*/false);  // Add tries again
}

void CallOrder::Add(InboundCall& call) {
  SerialExecutor& serial = SerialOf(*call.bound);
  if (call.serving.queue != nullptr) {
    serial.SetReady(*call.serving.queue, call);
    return;
  }
  if (const absl::Status& s = call.ParseMetadata(); !s.ok()) {
    call.Refuse(absl::Status(s));
    return;
  }
  // Nothing is known of how it came, and behind others of its key it may wait for long.
  if (const size_t kept = call.kept_input(); kept > 0 && kept <= kSmall) call.LetGoOfInput();
  absl::StatusOr<SerialKey> key = KeyOfCall(call);
  if (!key.ok()) {
    call.Refuse(key.status());
    return;
  }
  if (TryQueue(call, *std::move(key), /*ready=*/true)) return;
  const std::string setting = dispatcher_.handler_pools()[call.bound->handler_pool]->QueueSetting();
  call.Refuse(absl::ResourceExhaustedError(absl::StrCat(
      "the ", dispatcher_.side().name, "'s queue is full: ", serial.waiting(),
      " calls wait for their turn, the limit is ", serial.limit(), " (", setting, ")")));
}

void CallOrder::RefuseAll(const CallOrigin& origin, size_t place) {
  SerialExecutor& serial = place < serial_.size() ? *serial_[place] : *inline_serial_;
  for (WorkItem* item : serial.TakeOutAll(&origin)) {
    auto& call = static_cast<InboundCall&>(*item);
    call.serving.queue = nullptr;
    Dispatcher::RefuseStopped(call);
  }
}

void CallOrder::OnAnswered(InboundCall& call) {
  SerialOf(*call.bound).Done(*call.serving.queue, call);
}

}  // namespace weft
