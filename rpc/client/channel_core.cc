#include "weft/rpc/client/channel_core.h"

#include <algorithm>
#include <future>
#include <utility>

#include <google/protobuf/message_lite.h>

#include "absl/strings/str_cat.h"
#include "weft/core/callback_queue.h"
#include "weft/core/check.h"
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/call/stream_port.h"
#include "weft/rpc/client/attempt_plan.h"

namespace weft {
namespace {

Nanos TimeoutOf(const OutboundCall& call, Nanos by_default) {
  const absl::Duration wish = call.options.timeout;
  if (wish != absl::ZeroDuration()) return ToNanos(wish);
  if (call.method.timeout_ms > 0) return std::chrono::milliseconds(call.method.timeout_ms);
  return by_default;
}

std::shared_ptr<const SessionConfig> ConfigOf(const ChannelOptions& options) {
  SessionConfig config;
  config.limits = std::make_shared<const SessionLimits>(options.limits);
  config.gate = std::make_shared<InflateGate>(options.limits.inflate, "channel");
  return std::make_shared<const SessionConfig>(std::move(config));
}

}  // namespace

ChannelCore::ChannelCore(IoThread& io, const Log& log, HostPort address, std::string target,
                         ChannelOptions options, InboundService::Maker make_inbound,
                         std::function<bool()> in_handler)
    : io_(io),
      loop_(io.loop),
      log_(log),
      address_(std::move(address)),
      target_(std::move(target)),
      options_(std::move(options)),
      config_(ConfigOf(options_)),
      default_timeout_(ToNanos(options_.timeout)),
      make_inbound_(std::move(make_inbound)),
      in_handler_(std::move(in_handler)),
      has_policies_(HasPolicies(options_)),
      backoff_(ToNanos(options_.backoff), options_.backoff_factor, ToNanos(options_.max_backoff),
               options_.backoff_jitter,
               static_cast<uint64_t>(loop_->clock().Now().time_since_epoch().count()) ^
                   reinterpret_cast<uintptr_t>(this)),
      list_(options_.on_connection),
      budget_(options_.retry_budget) {}

ChannelCore::~ChannelCore() = default;

// ---- calls, from any thread

// Over `link` if that takes it, else over the next one.
inline void ChannelCore::Send(OutboundCall& call, CallLink* link) {
  using StartResult = CallLink::StartResult;
  absl::Status why;
  const StartResult start = link != nullptr ? link->TryStart(call, &why) : StartResult::kGone;
  if (start == StartResult::kStarted) return;
  if (start == StartResult::kRefused) {
    CompleteLater(call, std::move(why));
  } else {
    WaitForLink(call, link);
  }
}

void ChannelCore::Start(OutboundCall& call) {
  const bool in_loop = loop_->InLoop();
  std::shared_ptr<CallLink> held;
  CallLink* link;
  if (in_loop) {
    loop_->AssertInLoop();
    call.started = loop_->now();
    link = loop_link_.get();
  } else {
    call.started = loop_->clock().Now();
    MutexLock lock(mu_);
    held = link_;
    link = held.get();
  }
  const Nanos timeout = TimeoutOf(call, default_timeout_);
  call.deadline = SaturatingAdd(call.started, timeout);
  call.resender = this;
  if (call.stream != nullptr) {
    call.stream->SetLoop(loop_);
    if (ClientStreams(call.method.kind)) call.stream->KeepSent();
  }
  call.codec = call.options.compression.value_or(options_.compression);
  if (!call.options.detached) call.scope = CallScope::Current();
  if (call.scope != nullptr) call.deadline = std::min(call.deadline, call.scope->deadline());
  // An interceptor may end the channel; the call goes on to its completion all the same.
  std::shared_ptr<ChannelCore> kept;
  if (!options_.interceptors.empty()) {
    kept = shared_from_this();
    absl::Status s =
        ClientInterception::Start(options_.interceptors, call, target_, loop_->clock());
    if (!s.ok()) {
      CompleteLater(call, std::move(s));
      return;
    }
  }
  if (call.deadline <= call.started) {
    CompleteLater(call, absl::DeadlineExceededError(
                            timeout <= Nanos::zero()
                                ? "its deadline has passed before it was sent"
                                : "the deadline of the call that its handler serves has passed"));
    return;
  }
  if (call.options.context != nullptr && call.options.context->cancelled()) {
    CompleteLater(call, absl::CancelledError("cancelled by the caller before it was sent"));
    return;
  }
  if ((has_policies_ || call.options.max_attempts > 1) && StartDriven(call)) return;
  Send(call, link);
}

bool ChannelCore::StartDriven(OutboundCall& call) {
  if (call.method.kind != MethodKind::kUnary) return false;
  const AttemptPlan plan = AttemptPlan::For(options_, call.method, call.options);
  if (plan.attempts <= 1) return false;
  // What is too large is refused with its first attempt, which needs no copy of it.
  const size_t size = call.request.Size();
  if (size > options_.limits.max_message_bytes) return false;
  if (!call.request.Share()) {
    CompleteLater(call, MessageCodec::NoMemory("the request", size));
    return true;
  }
  CallDriver::Start(shared_from_this(), {*this, budget_, attempt_counts_}, plan, call);
  return true;
}

void ChannelCore::SendAttempt(OutboundCall& attempt) {
  attempt.resender = this;
  if (loop_->InLoop()) {
    loop_->AssertInLoop();
    // Its completion, or another call's, may end the link.
    const std::shared_ptr<CallLink> link = loop_link_;
    Send(attempt, link.get());
    return;
  }
  std::shared_ptr<CallLink> held;
  {
    MutexLock lock(mu_);
    held = link_;
  }
  Send(attempt, held.get());
}

void ChannelCore::Post(std::function<void()> task) {
  loop_->Post([self = shared_from_this(), task = std::move(task)](TaskFate fate) {
    if (fate == TaskFate::kRun) task();
  });
}

bool ChannelCore::closed() const {
  MutexLock lock(mu_);
  return state_ == State::kClosed;
}

void ChannelCore::WakeAt(CallDriver& driver, MonoTime at) {
  loop_->AssertInLoop();
  to_wake_.insert(&driver);
  io_.wheel->Insert(&driver, at);
}

void ChannelCore::DontWake(CallDriver& driver) {
  loop_->AssertInLoop();
  to_wake_.erase(&driver);
  io_.wheel->Remove(&driver);
}

// Keeps the call until there is a connection other than `gone`, and sees to there being one.
void ChannelCore::WaitForLink(OutboundCall& call, const CallLink* gone) {
  absl::Status refused = WaitingCalls::Keep(call, options_.limits.max_message_bytes);
  if (!refused.ok()) {
    CompleteLater(call, std::move(refused));
    return;
  }
  uint64_t id = 0;
  std::shared_ptr<CallLink> come;
  {
    MutexLock lock(mu_);
    if (link_.get() != gone && link_ != nullptr) {
      come = link_;
    } else if (state_ == State::kClosed) {
      refused = absl::UnavailableError("the channel was closed");
    } else if (state_ == State::kPausing && !call.options.wait_for_ready && call.resent == 0) {
      refused = last_error_;
    } else {
      refused = waiting_.Add(call);
    }
    if (come == nullptr && refused.ok()) {
      id = call.id;
      if (call.wants_handle()) {
        call.Started(CallHandle(
            std::shared_ptr<CallCanceller>(shared_from_this(), static_cast<CallCanceller*>(this)),
            id));
      }
    }
  }
  if (come != nullptr) {  // meanwhile; nothing waits any more that this call would overtake
    Send(call, come.get());
    return;
  }
  if (!refused.ok()) {
    CompleteLater(call, std::move(refused));
    return;
  }
  // From here on the loop may have completed the call.
  loop_->Post([self = shared_from_this(), this, id](TaskFate fate) {
    if (fate == TaskFate::kCancelled) {
      if (OutboundCall* lost = TakeWaiting(id))
        CompleteNow(*lost, absl::UnavailableError("the channel was closed"));
      return;
    }
    loop_->AssertInLoop();
    bool pausing;
    {
      MutexLock lock(mu_);
      pausing = state_ == State::kPausing;
      OutboundCall* waiting = waiting_.Find(id);
      // It went with the others, or failed with an attempt: then the next one has to wait its turn.
      if (waiting == nullptr) return;
      if (!waiting->in_wheel()) {  // else it was tried on a link, and put back
        waiting->deadline_target = this;
        io_.wheel->Insert(waiting, waiting->deadline);
      }
    }
    if (loop_link_ != nullptr) {
      (void)SendWaiting(loop_link_);  // false: its session ends, which sees to the next one
    } else if (!pausing) {
      BeginConnect();
    }
  });
}

absl::Status ChannelCore::Annotated(const OutboundCall& call, const absl::Status& why) const {
  return Annotate(why, absl::StrCat("call ", std::string(call.method.full_name), " to ", target_));
}

// The call was not sent.
void ChannelCore::CompleteNow(OutboundCall& call, const absl::Status& status) {
  CallEnd end;
  end.may_have_been_executed = false;
  end.status = Annotated(call, status);
  {
    MutexLock lock(mu_);
    end.by = state_ == State::kClosed ? CallEnd::By::kClosedChannel : CallEnd::By::kChannel;
  }
  call.End(end);
}

// A call that a session gave back: no server has taken it. It goes to the connection that comes
// next, and does not fail with a pause before that, only with an attempt to connect.
bool ChannelCore::SendAgain(OutboundCall& call, const CallEnd& end) {
  if (end.by != CallEnd::By::kSession || !absl::IsUnavailable(end.status)) return false;
  if (call.resent >= kMaxResends || !call.request.stays()) return false;
  if (loop_->clock().Now() >= call.deadline) return false;
  {
    MutexLock lock(mu_);
    if (state_ == State::kClosed) return false;
  }
  if (!call.request.ShareToRepeat(call.codec) || !call.PrepareAgain()) return false;
  ++call.resent;
  resent_.fetch_add(1, std::memory_order_relaxed);
  WaitForLink(call, nullptr);
  return true;
}

void ChannelCore::CompleteLater(OutboundCall& call, absl::Status status) {
  loop_->Post([self = shared_from_this(), this, &call, status = std::move(status)](TaskFate) {
    CompleteNow(call, status);
  });
}

void ChannelCore::CancelCall(uint64_t id) {
  loop_->Post([self = shared_from_this(), this, id](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;
    loop_->AssertInLoop();
    if (OutboundCall* call = TakeWaiting(id))
      CompleteNow(*call, absl::CancelledError("cancelled by the caller"));
  });
}

void ChannelCore::Connect() {
  loop_->Post([self = shared_from_this(), this](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;
    loop_->AssertInLoop();
    if (loop_link_ == nullptr) BeginConnect();
  });
}

void ChannelCore::Close(std::shared_ptr<const void> kept) {
  {
    MutexLock lock(mu_);
    state_ = State::kClosed;
    link_.reset();
  }
  // Handlers of our services are waited for, unless this is one of them.
  if (EventLoop::Current() == nullptr && !CallbackQueue::InCallback() &&
      (in_handler_ == nullptr || !in_handler_())) {
    std::promise<void> closed;
    CloseBehind([&closed] { closed.set_value(); });
    closed.get_future().get();
  } else {
    CloseBehind([kept = std::move(kept)] {});
  }
}

// Behind the code of the user's that runs on the loop, and behind what it has posted.
void ChannelCore::CloseBehind(std::function<void()> done) {
  loop_->Post([self = shared_from_this(), this, done = std::move(done)](TaskFate fate) mutable {
    if (fate == TaskFate::kRun) {
      loop_->AssertInLoop();
      CloseOnLoop();
    }
    // Behind what it posted: sessions are gone then.
    loop_->Post([self, this, done = std::move(done)](TaskFate later) mutable {
      if (later == TaskFate::kCancelled) {
        done();
        return;
      }
      loop_->AssertInLoop();
      DrainInbound(std::move(done));
    });
  });
}

// ---- on the loop

void ChannelCore::DrainInbound(std::function<void()> done) {
  if (inbound_ == nullptr) {
    done();
    return;
  }
  const std::shared_ptr<InboundService> part = std::move(inbound_);
  part->Drain(std::move(done));
}

void ChannelCore::CloseOnLoop() {
  const absl::Status why = absl::UnavailableError("the channel was closed");
  // Callers up the stack, whose callback closed us, still go on with what is ours.
  if (on_loop_ != nullptr) {
    on_loop_->dialer.Cancel();
    on_loop_->pause.Stop();
    on_loop_->idle_look.Stop();
  }
  loop_->Post([self = shared_from_this(), things = std::move(on_loop_)](TaskFate) mutable {
    things.reset();
  });
  loop_link_.reset();
  // One by one: the end of one call may end another.
  while (!to_wake_.empty()) {
    CallDriver* const driver = *to_wake_.begin();
    to_wake_.erase(to_wake_.begin());
    io_.wheel->Remove(driver);
    driver->OnChannelClosed();
  }
  if (session_ != nullptr) session_->Close(CloseReason::kLocal, why);
  // One of them may be ending already, with us inside a callback of its calls.
  std::vector<Session*> leaving;
  for (const Leaving& left : leaving_) leaving.push_back(left.session.get());
  for (Session* session : leaving) session->Close(CloseReason::kLocal, why);
  FailWaiting(why, WaitingCalls::Which::kAll);
}

OutboundCall* ChannelCore::TakeWaiting(uint64_t id) WEFT_NO_THREAD_ANALYSIS {
  OutboundCall* call;
  {
    MutexLock lock(mu_);
    call = waiting_.Take(id);
  }
  if (call != nullptr) io_.wheel->Remove(call);
  return call;
}

void ChannelCore::OnCallDeadline(OutboundCall& expired) {
  loop_->AssertInLoop();
  OutboundCall* call = TakeWaiting(expired.id);
  if (call == nullptr) return;
  CompleteNow(*call, absl::DeadlineExceededError(absl::StrCat("no connection within ",
                                                              InMs(call->deadline - call->started),
                                                              "; the request was not sent")));
}

}  // namespace weft
