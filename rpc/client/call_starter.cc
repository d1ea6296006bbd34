#include "weft/rpc/client/call_starter.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/optimization.h"
#include "absl/strings/str_cat.h"
#include "weft/core/check.h"
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/call/stream_port.h"
#include "weft/rpc/client/attempt_plan.h"
#include "weft/rpc/client/link_slot.h"
#include "weft/rpc/client/link_use.h"

namespace weft::internal {
namespace {

Nanos TimeoutOf(const OutboundCall& call, Nanos by_default) {
  const absl::Duration wish = call.options.timeout;
  if (wish != absl::ZeroDuration()) return ToNanos(wish);
  if (call.method.timeout_ms > 0) return std::chrono::milliseconds(call.method.timeout_ms);
  return by_default;
}

}  // namespace

CallStarter::CallStarter(std::shared_ptr<LinkSource> source, IoThread& home,
                         std::shared_ptr<const StartConfig> config, std::string target)
    : source_(std::move(source)),
      home_(home),
      loop_(home.loop),
      config_(std::move(config)),
      stats_(config_->stats.get()),
      all_driven_(config_->has_policies || source_->wants_reports()),
      slot_(source_->slot()),
      slot_is_home_(slot_ != nullptr && slot_->loop() == loop_.get()),
      room_(*source_, home, std::move(target), config_->max_message, config_->max_waiting),
      budget_(config_->options.retry_budget) {
  source_->Watch(&room_);
}

void CallStarter::SetKeeper(std::weak_ptr<const void> keeper) {
  keeper_ = keeper;
  room_.SetKeeper(std::move(keeper));
}

// ---- calls, from any thread

// Inlined into Start, the path of every call.
ABSL_ATTRIBUTE_ALWAYS_INLINE inline void CallStarter::Send(OutboundCall& call, bool in_loop) {
  uint64_t gone = 0;
  // A call may go straight to the link only while no other call waits: calls leave in the order in
  // which they came. With slot_ the link is read without a lock (decision 0030).
  if (ABSL_PREDICT_TRUE(slot_ != nullptr && room_.empty() && room_.MayPass(call))) {
    LinkSlot::Record* record = nullptr;
    const NumberedLink* const link =
        in_loop && slot_is_home_ ? slot_->present() : slot_->Read(&record);
    if (ABSL_PREDICT_TRUE(link != nullptr)) {
      const LinkUse use(record);
      const uint64_t number = link->number;  // starting the call may end the link
      absl::Status why;
      switch (link->link->TryStart(call, &why)) {
        case CallLink::StartResult::kStarted:
          return;
        case CallLink::StartResult::kRefused:
          room_.CompleteLater(call, std::move(why));
          return;
        case CallLink::StartResult::kFull:
          room_.OnFull(call, {link->link.get(), number}, std::move(why));
          return;
        case CallLink::StartResult::kGone:
          gone = number;
          break;
      }
    }
  }
  room_.Send(call, gone);
}

void CallStarter::Start(OutboundCall& call) {
  OutboundCall::Plan& plan = call.MakePlan();
  const bool in_loop = loop_->InLoop();
  if (in_loop) {
    loop_->AssertInLoop();
    plan.started = loop_->now();
  } else {
    plan.started = loop_->clock().Now();
  }
  const Nanos timeout = TimeoutOf(call, config_->default_timeout);
  plan.deadline = SaturatingAdd(plan.started, timeout);
  plan.resender = this;
  if (stats_ != nullptr) {
    plan.counts = &stats_->Of(call.method);
    plan.counts->Started();
  }
  if (call.stream != nullptr) {
    call.stream->SetLoop(loop_);
    if (ClientStreams(call.method.kind)) call.stream->KeepSent();
  }
  plan.codec = call.options.compression.value_or(config_->options.compression);
  if (!call.options.detached) plan.scope = CallScope::Current();
  if (plan.scope != nullptr) plan.deadline = std::min(plan.deadline, plan.scope->deadline());
  // An interceptor may destroy the channel inside its hook. The share keeps everything that the
  // call needs until its completion.
  std::shared_ptr<const void> kept;
  if (!config_->options.interceptors.empty()) {
    kept = keeper_.lock();
    absl::Status s = ClientInterception::Start(config_->options.interceptors, call, room_.target(),
                                               loop_->clock());
    if (!s.ok()) {
      room_.CompleteLater(call, std::move(s));
      return;
    }
  }
  // After the interceptors: they see also the calls that end here, and each Start hook has its
  // OnEnd.
  if (plan.deadline <= plan.started) {
    room_.CompleteLater(call,
                        absl::DeadlineExceededError(
                            timeout <= Nanos::zero()
                                ? "its deadline has passed before it was sent"
                                : "the deadline of the call that its handler serves has passed"));
    return;
  }
  if (call.options.context != nullptr && call.options.context->cancelled()) {
    room_.CompleteLater(call, absl::CancelledError("cancelled by the caller before it was sent"));
    return;
  }
  // The request of a method whose client streams is a stand-in.
  if (!ClientStreams(call.method.kind)) {
    if (absl::Status s = call.request.CheckComplete(); ABSL_PREDICT_FALSE(!s.ok())) {
      room_.CompleteLater(call, std::move(s));
      return;
    }
  }
  if ((all_driven_ || call.options.max_attempts > 1) && StartDriven(call)) return;
  Send(call, in_loop);
}

bool CallStarter::StartDriven(OutboundCall& call) {
  if (call.method.kind != MethodKind::kUnary) return false;
  const AttemptPlan plan = AttemptPlan::For(config_->options, call.method, call.options);
  if (plan.attempts <= 1 && !source_->wants_reports()) return false;
  // A request that is too large is refused with its first attempt, so it is not copied here.
  const size_t size = call.request.Size();
  if (size > config_->max_message.bytes) return false;
  if (!call.request.Share()) {
    room_.CompleteLater(call, MessageCodec::NoMemory("the request", size));
    return true;
  }
  CallDriver::Start(keeper_.lock(), {*this, budget_, attempt_counts_}, plan, call);
  return true;
}

// Takes a call that a session gave back, because no server has taken it. It goes to the next link.
// A pause of the source does not end it, only a failed attempt to connect does.
bool CallStarter::SendAgain(OutboundCall& call, const CallEnd& end) {
  if (end.by != CallEnd::By::kSession || !absl::IsUnavailable(end.status)) return false;
  if (call.waits().resent >= kMaxResends || !call.request.stays()) return false;
  if (loop_->clock().Now() >= call.plan().deadline || !WhyOver().empty()) return false;
  // PrepareAgain comes last, for it changes the call's state: behind it the call must go on.
  if (!call.request.ShareToRepeat(call.plan().codec) || !call.PrepareAgain()) return false;
  ++call.waits().resent;
  resent_.fetch_add(1, std::memory_order_relaxed);
  if (stats_ != nullptr) stats_->Of(call.method).AddResent();
  room_.Send(call);
  return true;
}

// ---- attempts

void CallStarter::SendAttempt(OutboundCall& attempt) {
  attempt.MakePlan().resender = this;
  room_.Send(attempt);
}

void CallStarter::Report(uint64_t link, const CallEnd& end, Nanos took) {
  if (link > 0 && source_->wants_reports()) source_->Report(link, end, took);
}

void CallStarter::Post(std::function<void()> task) {
  loop_->Post([keep = keeper_.lock(), task = std::move(task)](TaskFate fate) {
    if (fate == TaskFate::kRun) task();
  });
}

void CallStarter::PostEnd(std::function<void(bool closed)> task) {
  loop_->Post([keep = keeper_.lock(), task = std::move(task)](TaskFate fate) {
    task(fate == TaskFate::kCancelled);
  });
}

void CallStarter::WakeAt(CallDriver& driver, MonoTime at) {
  loop_->AssertInLoop();
  to_wake_.emplace(&driver, ++last_wait_);
  home_.wheel->Insert(&driver, at);
}

void CallStarter::DontWake(CallDriver& driver) {
  loop_->AssertInLoop();
  to_wake_.erase(&driver);
  home_.wheel->Remove(&driver);
}

// ---- the end

void CallStarter::Close(std::function<void()> done) {
  room_.Close();
  const std::shared_ptr<const void> keep = keeper_.lock();
  loop_->Post([keep, this](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;
    loop_->AssertInLoop();
    CloseOnHome();
  });
  source_->Close([this, keep, done = std::move(done)]() mutable {
    loop_->Post([keep, done = std::move(done)](TaskFate) { done(); });  // behind CloseOnHome
  });
}

void CallStarter::CloseOnHome() {
  // Takes the drivers one by one, and looks each up again: the end of one call may end another, or
  // make a new one wait.
  while (!to_wake_.empty()) {
    std::vector<std::pair<uint64_t, CallDriver*>> waiting;
    for (const auto& [driver, since] : to_wake_) waiting.emplace_back(since, driver);
    std::sort(waiting.begin(), waiting.end());
    for (const auto& [since, driver] : waiting) {
      const auto it = to_wake_.find(driver);
      if (it == to_wake_.end() || it->second != since) continue;
      to_wake_.erase(it);
      home_.wheel->Remove(driver);
      driver->OnChannelClosed();
    }
  }
  room_.EndAll(absl::UnavailableError("the channel was closed"));
}

}  // namespace weft::internal
