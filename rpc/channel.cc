#include "weft/rpc/channel.h"

#include <future>
#include <utility>

#include "absl/base/optimization.h"
#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/callback_queue.h"
#include "weft/core/duration_check.h"
#include "weft/core/step_finisher.h"
#include "weft/rpc/base/protobuf_log.h"
#include "weft/rpc/client/call_starter.h"
#include "weft/rpc/client/caller.h"
#include "weft/rpc/client/endpoint_connection.h"
#include "weft/rpc/client/inbound_service.h"
#include "weft/rpc/default_protocols.h"
#include "weft/rpc/protocol/authentication_queue.h"
#include "weft/rpc/protocol/option_durations.h"
#include "weft/rpc/server/dispatcher.h"
#include "weft/rpc/server/loop_dispatcher.h"
#include "weft/rpc/server/serving_side.h"

namespace weft {

using namespace internal;

namespace {

// So many calls that a server makes on one channel may wait for the authenticator.
constexpr size_t kMaxWaitingAuthentications = 1000;

}  // namespace

Channel::Channel(std::shared_ptr<Runtime> runtime, std::shared_ptr<EndpointConnection> connection,
                 std::shared_ptr<CallStarter> starter, std::function<bool()> in_handler, Log log)
    : runtime_(std::move(runtime)),
      connection_(std::move(connection)),
      starter_(std::move(starter)),
      in_handler_(std::move(in_handler)),
      log_(std::move(log)) {}

namespace {

absl::Status CheckDurationsOf(const ChannelOptions& options) {
  absl::Status s = DurationCheck::All(
      "ChannelOptions",
      {{"timeout", options.timeout, DurationCheck::Takes::kAboveZero},
       {"connect_timeout", options.connect_timeout, DurationCheck::Takes::kAboveZero},
       {"backoff", options.backoff},
       {"max_backoff", options.max_backoff},
       {"idle_timeout", options.idle_timeout},
       {"max_service_write_wait", options.max_service_write_wait}});
  s.Update(CheckStartDurations(options));
  s.Update(CheckDurations(options.limits));
  return s;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Channel>> Channel::Create(std::string_view target,
                                                         ChannelOptions options) {
  absl::StatusOr<HostPort> address = HostPort::Parse(target);
  if (!address.ok()) return address.status();
  if (absl::Status s = CheckDurationsOf(options); !s.ok()) return s;
  if (address->is_in_process() && options.network == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("channel to ", AbslView(target),
                     ": it needs an in-process network (ChannelOptions::network)"));
  }
  if (!options.protocol.has_value()) options.protocol = DefaultProtocols().front();
  if (options.protocol->dial == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("channel to ", AbslView(target), ": protocol ",
                                                   std::string(options.protocol->name),
                                                   " does not dial (it only accepts)"));
  }
  ProtobufLog::Install();
  std::shared_ptr<Runtime> runtime = std::exchange(options.runtime, nullptr);
  Log log;
  if (runtime == nullptr) {
    RuntimeOptions private_one;
    private_one.log_level = options.log.level.value_or(private_one.log_level);
    private_one.log_sink = std::move(options.log.sink);
    options.log = {};
    absl::StatusOr<std::shared_ptr<Runtime>> own = Runtime::Create(std::move(private_one));
    if (!own.ok()) return own.status();
    runtime = *std::move(own);
    log = runtime->log();
  } else if (runtime->InForkedChild()) {
    return ForkGuard::Refused(absl::StrCat("channel to ", AbslView(target), ": its runtime"));
  } else {
    log = runtime->log().Below(options.log);
  }
  IoThread& io = runtime->loops().Next();
  const auto config =
      std::make_shared<const StartConfig>(StartConfig::Of(options, options.limits, "channel"));
  InboundService::Maker serving;
  std::function<bool()> in_handler;
  if (!options.services.empty()) {
    std::shared_ptr<AuthenticationQueue> authentications;
    if (options.authenticator != nullptr) {
      absl::StatusOr<std::unique_ptr<AuthenticationQueue>> queue = AuthenticationQueue::Create(
          options.authenticator,
          {.threads = 1,
           .places = std::make_shared<AuthenticationPlaces>(kMaxWaitingAuthentications),
           .side = "channel",
           .steps = runtime->steps()},
          log, runtime->clock());
      if (!queue.ok()) return queue.status();
      authentications = *std::move(queue);
    }
    auto dispatcher = std::make_shared<Dispatcher>(
        /*run_inline=*/false, options.service_interceptors,
        OverloadOptions{.max_calls = options.max_service_calls}, kChannelServes,
        ToNanos(options.max_service_write_wait));
    absl::Status s;
    for (Service* service : options.services) s.Update(dispatcher->Add(*service));
    if (s.ok()) s = dispatcher->Serve(*runtime);
    if (!s.ok()) return s;
    // The destructor must not wait on a thread for which it would wait: a handler's or the
    // authenticator's.
    in_handler = [dispatcher, authentications] {
      return dispatcher->InPool() || (authentications != nullptr && authentications->InPool());
    };
    serving = [dispatcher, authentications,
               callers = Caller::Maker(io, config)](const std::shared_ptr<EventLoop>& loop) {
      return std::make_shared<InboundService>(
          loop, std::make_unique<LoopDispatcher>(*loop, *dispatcher),
          std::make_shared<CallPool>(dispatcher, dispatcher.get(), callers),
          [dispatcher, authentications](Gate::Callback quiet) {
            if (authentications == nullptr) {
              dispatcher->WhenQuiet(std::move(quiet));
              return;
            }
            // std::function must be copyable, and the callback is not: share it.
            auto last = std::make_shared<Gate::Callback>(std::move(quiet));
            dispatcher->WhenQuiet([authentications, last] {
              authentications->WhenIdle([last] { std::move (*last)(); });
            });
          },
          authentications);
    };
  }
  EndpointOptions endpoint = EndpointOptions::Of(options, *std::move(address), std::string(target));
  endpoint.make_inbound = std::move(serving);
  auto connection = std::make_shared<EndpointConnection>(io, log, std::move(endpoint));
  auto starter = std::make_shared<CallStarter>(connection, io, config, std::string(target));
  // The starter keeps itself: its posted tasks take a share, so the channel may go before they run.
  starter->SetKeeper(starter);
  return std::unique_ptr<Channel>(new Channel(std::move(runtime), std::move(connection),
                                              std::move(starter), std::move(in_handler),
                                              std::move(log)));
}

Channel::~Channel() {
  if (home_.InForkedChild()) {
    ForkGuard::LeaveBehind(connection_);
    ForkGuard::LeaveBehind(starter_);
    ForkGuard::LeaveBehind(std::move(runtime_));
    return;
  }
  // In a simulation nothing else runs on the only thread: step the loops here until the end has
  // come.
  if (StepFinisher* const finisher = StepFinisher::Of(runtime_->steps())) {
    const auto closed = std::make_shared<bool>(false);
    starter_->Close([closed] { *closed = true; });
    finisher->RunUntil([closed] { return *closed; });
    return;
  }
  // Wait for the end, handlers of the channel's services included, unless this thread may be one
  // that the end needs. There the runtime is kept until it has come.
  if (EventLoop::Current() == nullptr && !CallbackQueue::InCallback() &&
      (in_handler_ == nullptr || !in_handler_())) {
    std::promise<void> closed;
    starter_->Close([&closed] { closed.set_value(); });
    closed.get_future().get();
  } else {
    starter_->Close([kept = std::move(runtime_)] {});
  }
}

void Channel::Start(OutboundCall& call) {
  if (ABSL_PREDICT_FALSE(home_.InForkedChild())) {
    RefuseInChild(call);
  } else {
    starter_->Start(call);
  }
}

// A function of its own, because every call goes through Start.
void Channel::RefuseInChild(OutboundCall& call) {
  CallEnd end;
  end.may_have_been_executed = false;
  end.status = ForkGuard::Refused(absl::StrCat("call ", std::string(call.method.full_name),
                                               ": the channel to ", starter_->target()));
  call.End(end);
}
void Channel::Connect() {
  if (!home_.InForkedChild()) connection_->Connect(/*at_once=*/true);
}
const std::string& Channel::target() const { return connection_->target(); }
Channel::Counts Channel::counts() const {
  const AttemptCounts& attempts = starter_->attempt_counts();
  return {connection_->connects(),
          connection_->failed_connects(),
          connection_->late_replies(),
          starter_->resent(),
          attempts.retries.load(std::memory_order_relaxed),
          attempts.hedges.load(std::memory_order_relaxed),
          attempts.over_budget.load(std::memory_order_relaxed),
          runtime_->callback_throws()};
}
std::vector<CallStatsSnapshot> Channel::Stats() const { return starter_->Stats(); }
std::vector<ConnectionInfo> Channel::connections() const { return connection_->connections(); }

}  // namespace weft
