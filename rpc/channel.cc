#include "weft/rpc/channel.h"

#include <utility>

#include "absl/base/optimization.h"
#include "absl/strings/str_cat.h"
#include "weft/rpc/base/protobuf_log.h"
#include "weft/rpc/client/channel_core.h"
#include "weft/rpc/client/inbound_service.h"
#include "weft/rpc/default_protocols.h"
#include "weft/rpc/server/dispatcher.h"
#include "weft/rpc/server/loop_dispatcher.h"
#include "weft/rpc/server/serving_side.h"

namespace weft {

Channel::Channel(std::shared_ptr<Runtime> runtime, std::shared_ptr<ChannelCore> core)
    : runtime_(std::move(runtime)), core_(std::move(core)) {}

absl::StatusOr<std::unique_ptr<Channel>> Channel::Create(std::string_view target,
                                                         ChannelOptions options) {
  absl::StatusOr<HostPort> address = HostPort::Parse(target);
  if (!address.ok()) return address.status();
  if (address->is_in_process() && options.network == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("channel to ", absl::string_view(target.data(), target.size()),
                     ": it needs an in-process network (ChannelOptions::network)"));
  }
  if (!options.protocol.has_value()) options.protocol = DefaultProtocols().front();
  if (options.protocol->dial == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("channel to ", absl::string_view(target.data(), target.size()), ": protocol ",
                     std::string(options.protocol->name), " does not dial (it only accepts)"));
  }
  ProtobufLog::Install();
  std::shared_ptr<Runtime> runtime = std::exchange(options.runtime, nullptr);
  if (runtime == nullptr) {
    absl::StatusOr<std::shared_ptr<Runtime>> own = Runtime::Create();
    if (!own.ok()) return own.status();
    runtime = *std::move(own);
  } else if (runtime->InForkedChild()) {
    return ForkGuard::Refused(absl::StrCat(
        "channel to ", absl::string_view(target.data(), target.size()), ": its runtime"));
  }
  InboundService::Maker serving;
  std::function<bool()> in_handler;
  if (!options.services.empty()) {
    auto dispatcher = std::make_shared<Dispatcher>(
        /*run_inline=*/false, options.service_interceptors,
        OverloadOptions{.max_calls = options.max_service_calls}, kChannelServes,
        ToNanos(options.max_service_write_wait));
    absl::Status s;
    for (Service* service : options.services) s.Update(dispatcher->Add(*service));
    if (s.ok()) s = dispatcher->Serve(*runtime);
    if (!s.ok()) return s;
    in_handler = [dispatcher] { return dispatcher->InPool(); };
    serving = [dispatcher](const std::shared_ptr<EventLoop>& loop) {
      return std::make_shared<InboundService>(
          loop, std::make_unique<LoopDispatcher>(*loop, *dispatcher),
          std::make_shared<CallPool>(dispatcher, dispatcher.get()),
          [dispatcher](Gate::Callback quiet) { dispatcher->WhenQuiet(std::move(quiet)); });
    };
  }
  auto core = std::make_shared<ChannelCore>(
      runtime->loops().Next(), runtime->log(), *std::move(address), std::string(target),
      std::move(options), std::move(serving), std::move(in_handler));
  return std::unique_ptr<Channel>(new Channel(std::move(runtime), std::move(core)));
}

Channel::~Channel() {
  if (home_.InForkedChild()) {
    ForkGuard::LeaveBehind(core_);
    ForkGuard::LeaveBehind(std::move(runtime_));
    return;
  }
  core_->Close(runtime_);
}

void Channel::Start(OutboundCall& call) {
  if (ABSL_PREDICT_FALSE(home_.InForkedChild())) {
    RefuseInChild(call);
  } else {
    core_->Start(call);
  }
}

// In a function of its own: Start is on the way of every call.
void Channel::RefuseInChild(OutboundCall& call) {
  CallEnd end;
  end.may_have_been_executed = false;
  end.status = ForkGuard::Refused(absl::StrCat("call ", std::string(call.method.full_name), " to ",
                                               core_->target(), ": the channel"));
  call.End(end);
}
void Channel::Connect() {
  if (!home_.InForkedChild()) core_->Connect();
}
const std::string& Channel::target() const { return core_->target(); }
Channel::Counts Channel::counts() const {
  const AttemptCounts& attempts = core_->attempt_counts();
  return {core_->connects(),
          core_->failed_connects(),
          core_->late_replies(),
          core_->resent(),
          attempts.retries.load(std::memory_order_relaxed),
          attempts.hedges.load(std::memory_order_relaxed),
          attempts.over_budget.load(std::memory_order_relaxed),
          runtime_->callback_throws()};
}
std::vector<ConnectionInfo> Channel::connections() const { return core_->connections(); }

}  // namespace weft
