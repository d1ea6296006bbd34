#include "weft/rpc/server/call_order.h"

#include <exception>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "weft/core/callback_queue.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/call/calling_node.h"

namespace weft::internal {
namespace {

// All connections of a node are one owner: equal keys meet over all of them.
const void* OwnerOf(const CallOrigin& origin) {
  return origin.way != nullptr ? static_cast<const void*>(origin.way->node.get()) : &origin;
}

// Returns the key of the call: calls of one key run one at a time.
absl::StatusOr<SerialKey> KeyOfCall(InboundCall& call) {
  const MethodRules& rules = *MethodRules::Of(*call.bound);
  // The key functions are the application's code, and may throw.
  const CallbackQueue::Scope hook(CallbackQueue::Here());
  SerialKey key;
  key.owner = OwnerOf(*call.origin);
  try {
    if (rules.request_key != nullptr) {
      const absl::StatusOr<std::string_view> request = call.MessageBytes();
      if (!request.ok()) return request.status();
      key.name = rules.request_key(call.context(), *request);
    } else if (rules.key != nullptr) {
      key.name = rules.key(call.context());
    } else {
      // Without a function the method itself is the key: its calls run one at a time.
      key.kind = &rules;
    }
  } catch (...) {
    return Annotate(HandlerThrew(*call.bound->method->info, std::current_exception()),
                    "the method's key");
  }
  return key;
}

void RefuseTaken(const std::vector<WorkItem*>& items) {
  for (WorkItem* item : items) {
    auto& call = static_cast<InboundCall&>(*item);
    // The call has left its queue, so OnAnswered must not count it as done there.
    call.serving.queue = nullptr;
    Dispatcher::RefuseStopped(call);
  }
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

void CallOrder::InlineQueue::RunCall(InboundCall& call, int worker) {
  // kLater: the turn has come inside the end of another call, whose handler may still be on the
  // stack.
  if (worker != NodeLines::kLater && loop_.InLoop()) {
    loop_.AssertInLoop();
    dispatcher_.Run(call, cache_);
    return;
  }
  loop_.Post([this, &call](TaskFate fate) {
    if (fate == TaskFate::kCancelled) {
      RefuseCall(call);
      return;
    }
    loop_.AssertInLoop();
    dispatcher_.Run(call, cache_);
  });
}

CallOrder::CallOrder(EventLoop& loop, Dispatcher& dispatcher, const CallerShares& shares,
                     MessageCache& cache)
    : dispatcher_(dispatcher), shares_(shares), inline_queue_(loop, dispatcher, cache) {
  for (const auto& handler_pool : dispatcher.handler_pools()) {
    // The line for turns is bounded like the pool's own queue.
    serial_.push_back(
        std::make_shared<SerialExecutor>(handler_pool->pool(), handler_pool->pool().queue_limit()));
  }
  inline_serial_ = std::make_shared<SerialExecutor>(inline_queue_, dispatcher.pool().queue_limit());
}

CallOrder::Queued CallOrder::TryQueue(InboundCall& call, SerialKey key, bool ready) {
  const BoundMethod& bound = *call.bound;
  call.serving.runner = bound.run_inline ? static_cast<CallRunner*>(&inline_queue_)
                                         : dispatcher_.handler_pools()[bound.handler_pool].get();
  // The call may run and end inside TrySubmit, so nothing of it is read afterwards.
  if (call.origin->way != nullptr) return TryQueueOfNode(call, std::move(key), ready);
  if (SerialOf(call).TrySubmit(std::move(key), call, &call.serving.queue, ready,
                               shares_.Of(call))) {
    return Queued::kYes;
  }
  call.serving.queue = nullptr;
  return Queued::kFull;
}

// Calls with a key go over all connections of their node at once, and so do calls of methods whose
// order only this side knows of. Their caller does not wait when a connection is replaced, so none
// of them is too late (decision 0036).
CallOrder::Queued CallOrder::TryQueueOfNode(InboundCall& call, SerialKey key, bool ready) {
  const std::shared_ptr<const CallingWay> from = call.origin->way;
  const BoundMethod& bound = *call.bound;
  const size_t place = bound.run_inline ? serial_.size() : bound.handler_pool;
  SerialWay way{nullptr, from->rank};
  const bool one_way = key.kind != nullptr && bound.method->info->ordered;
  if (one_way) way.highest = from->node->Highest(key.kind, from->slot);
  if (SerialOf(call).TrySubmit(std::move(key), call, &call.serving.queue, ready,
                               from->node->Share(place), one_way ? &way : nullptr)) {
    return Queued::kYes;
  }
  call.serving.queue = nullptr;
  return way.late ? Queued::kLate : Queued::kFull;
}

void CallOrder::Begin(InboundCall& call) {
  if (!call.ParseMetadata().ok()) return;
  absl::StatusOr<SerialKey> key = KeyOfCall(call);
  if (key.ok()) (void)TryQueue(call, *std::move(key), /*ready=*/false);  // else Add tries again
}

void CallOrder::Add(InboundCall& call) {
  SerialExecutor& serial = SerialOf(call);
  if (call.serving.queue != nullptr) {
    serial.SetReady(*call.serving.queue, call);
    return;
  }
  if (const absl::Status& s = call.ParseMetadata(); !s.ok()) {
    call.Refuse(absl::Status(s));
    return;
  }
  // Copy small requests whatever the block: the call may wait for long behind others of its key.
  if (const size_t kept = call.kept_input(); kept > 0 && kept <= kSmall) call.LetGoOfInput();
  absl::StatusOr<SerialKey> key = KeyOfCall(call);
  if (!key.ok()) {
    call.Refuse(key.status());
    return;
  }
  switch (TryQueue(call, *std::move(key), /*ready=*/true)) {
    case Queued::kYes:
      return;
    case Queued::kLate:
      call.Refuse(absl::UnavailableError(
          "it came too late: a later connection of its node has brought calls of the method"));
      return;
    case Queued::kFull:
      break;
  }
  const std::string setting = dispatcher_.handler_pools()[call.bound->handler_pool]->QueueSetting();
  call.Refuse(absl::ResourceExhaustedError(absl::StrCat(
      "the ", dispatcher_.side().name, "'s queue is full: ", serial.waiting(),
      " calls wait for their turn, the limit is ", serial.limit(), " (", setting, ")")));
}

void CallOrder::RefuseAll(const CallOrigin& origin, size_t place) {
  SerialExecutor& serial = place < serial_.size() ? *serial_[place] : *inline_serial_;
  RefuseTaken(serial.TakeOutAll(&origin));
}

void CallOrder::RefuseAllOfNode(const CallOrigin& origin) {
  for (const auto& line : dispatcher_.node_lines().all()) {
    RefuseTaken(line->TakeOut(OwnerOf(origin), [&origin](const WorkItem& item) {
      return static_cast<const InboundCall&>(item).origin.get() == &origin;
    }));
  }
}

void CallOrder::OnAnswered(InboundCall& call) { SerialOf(call).Done(*call.serving.queue, call); }

}  // namespace weft::internal
