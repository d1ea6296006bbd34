// The connection of a channel, on its loop: made, come up, lost, left.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/check.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/client/channel_core.h"
#include "weft/rpc/protocol/session_seed.h"

namespace weft {
namespace {

// A connection that was up for so long was a good one: the next attempt need not wait.
constexpr Nanos kLasting = std::chrono::seconds(1);

DialerOptions DialerOf(const ChannelOptions& channel) {
  DialerOptions options;
  options.network = channel.network;
  options.transport = channel.transport;
  if (!channel.protocol->alpn.empty()) options.alpn.emplace_back(channel.protocol->alpn);
  const SessionLimits& limits = channel.limits;
  options.lost_after = ToNanos(limits.heartbeat_interval * (limits.heartbeat_misses + 1));
  return options;
}

}  // namespace

ChannelCore::OnLoop::OnLoop(EventLoop& loop, ChannelCore* core)
    : dialer(loop, DialerOf(core->options_)),
      pause(loop,
            [core] {
              core->loop_->AssertInLoop();
              core->BeginConnect();
            }),
      idle_look(loop, [core] {
        core->loop_->AssertInLoop();
        core->LookForIdle();
      }) {}

void ChannelCore::BeginConnect() {
  {
    MutexLock lock(mu_);
    if (state_ == State::kClosed || state_ == State::kConnecting || state_ == State::kUp) return;
    state_ = State::kConnecting;
  }
  if (on_loop_ == nullptr) on_loop_ = std::make_unique<OnLoop>(*loop_, this);
  on_loop_->pause.Stop();
  attempt_began_ = loop_->clock().Now();
  list_.Tell({0, target_, ConnectionState::kConnecting, CloseReason::kLocal, absl::OkStatus()});
  if (on_loop_ == nullptr) return;  // the listener closed the channel
  on_loop_->dialer.Start(address_, target_, ToNanos(options_.connect_timeout),
                         [this](absl::StatusOr<std::unique_ptr<Transport>> transport) {
                           loop_->AssertInLoop();
                           OnConnected(std::move(transport));
                         });
}

void ChannelCore::OnConnected(absl::StatusOr<std::unique_ptr<Transport>> transport) {
  if (!transport.ok()) {
    list_.Tell({0, target_, ConnectionState::kDown, CloseReason::kBroken, transport.status()});
    ConnectFailed(transport.status());
    return;
  }
  SessionSeed seed;
  seed.transport = *std::move(transport);
  seed.peer = target_;
  seed.began = attempt_began_;
  seed.own.token = options_.auth_token;
  // What is left of the time for this attempt.
  const absl::Duration left =
      options_.connect_timeout - ToAbsl(loop_->clock().Now() - attempt_began_);
  seed.handshake_left = ToNanos(std::max(left, absl::Milliseconds(1)));
  if (inbound_ == nullptr && make_inbound_ != nullptr) inbound_ = make_inbound_(loop_);
  SessionContext context{io_, *this, nullptr, nullptr, config_};
  if (inbound_ != nullptr) {
    context.sink = inbound_->sink();
    context.pool = inbound_->pool();
  }
  session_ = options_.protocol->dial(std::move(seed), context);
  opening_ = session_->link();
  ids_[session_.get()] = list_.Add(target_, attempt_began_, session_->gauge());
  (void)session_->Start();  // a failure ends the session, which tells us
}

void ChannelCore::Authenticate(Session& session, std::string_view, Verdict verdict) {
  // It is we who dialled.
  verdict(std::string(session.peer_identity().first_name()));
}

uint64_t ChannelCore::IdOf(const Session& session) const {
  const auto it = ids_.find(&session);
  return it == ids_.end() ? 0 : it->second;
}

void ChannelCore::OnSuspect(Session& session, bool suspect) {
  list_.Set(IdOf(session), suspect ? ConnectionState::kSuspect : ConnectionState::kUp);
}

void ChannelCore::OnLastCallEnded(Session& session) {
  const auto it = std::find_if(leaving_.begin(), leaving_.end(),
                               [&](const Leaving& l) { return l.session.get() == &session; });
  WEFT_DCHECK(it != leaving_.end());  // since its peer goes away
  session.CloseWhenWritten(CloseReason::kGoAway, absl::Status(it->why), kLastWords);
}

// Both know that it is over, and nothing is on its way any more.
void ChannelCore::OnGoAwayConfirmed(Session& session) {
  if (session_.get() != &session) CloseIfIdle(session);
}

void ChannelCore::CloseIfIdle(Session& session) {
  if (session.gauge()->Volume().calls > 0) return;
  session.CloseWhenWritten(CloseReason::kLocal,
                           absl::UnavailableError("the connection was not used"), kLastWords);
}

// Every quarter of idle_timeout, while there is a connection.
void ChannelCore::LookForIdle() {
  // A server that has not confirmed by then is not waited for.
  const MonoTime now = loop_->clock().Now();
  std::vector<Session*> late;
  for (const Leaving& left : leaving_) {
    if (now - left.since >= kGoAwayConfirm) late.push_back(left.session.get());
  }
  for (Session* session : late) CloseIfIdle(*session);
  if (on_loop_ == nullptr) return;  // the last of their calls closed the channel
  if (loop_link_ == nullptr && leaving_.empty()) return;
  on_loop_->idle_look.StartAfter(ToNanos(options_.idle_timeout) / IdleWatch::kLooks);
  if (loop_link_ == nullptr) return;
  if (!idle_watch_.Look(session_->gauge()->Volume())) return;
  const absl::Status why = absl::UnavailableError(absl::StrCat(
      "no calls for ", absl::FormatDuration(options_.idle_timeout), " (idle_timeout)"));
  // Calls of other threads go to the next connection from here on; what slipped in before goes on.
  loop_link_->StopStarting();
  Session& session = *session_;
  leaving_.push_back({std::move(session_), now, why});
  SetLink(nullptr);
  list_.Set(IdOf(session), ConnectionState::kGoingAway, CloseReason::kLocal, why);
  session.GoAway(why);
}

void ChannelCore::OnUp(Session& session) {
  connects_.fetch_add(1, std::memory_order_relaxed);
  up_since_ = loop_->clock().Now();
  const std::shared_ptr<CallLink> link = std::exchange(opening_, nullptr);
  idle_watch_ = IdleWatch();
  if (options_.idle_timeout > absl::ZeroDuration() && on_loop_ != nullptr) {
    on_loop_->idle_look.StartAfter(ToNanos(options_.idle_timeout) / IdleWatch::kLooks);
  }
  list_.Set(IdOf(session), ConnectionState::kUp);
  // Calls that waited go first: until they have, others wait behind them. Each of them may end the
  // session: a large one is written at once, and callbacks of those that end may do anything.
  while (session_.get() == &session) {
    const bool takes_more = SendWaiting(link);
    if (session_.get() != &session) return;
    MutexLock lock(mu_);
    if (takes_more && waiting_.size() > 0) continue;
    PutLink(link);
    return;
  }
}

void ChannelCore::SetLink(std::shared_ptr<CallLink> link) {
  MutexLock lock(mu_);
  PutLink(std::move(link));
}

void ChannelCore::PutLink(std::shared_ptr<CallLink> link) {
  if (state_ == State::kClosed) {
    loop_link_.reset();
    return;
  }
  state_ = link != nullptr ? State::kUp : State::kIdle;
  loop_link_ = link;
  link_ = std::move(link);
}

// All of them, in their order. False: the link takes no more, and the others wait on: its session
// is ending, or has ended, and its end sees to the next link.
bool ChannelCore::SendWaiting(std::shared_ptr<CallLink> link) {
  std::vector<uint64_t> ids;
  {
    MutexLock lock(mu_);
    ids = waiting_.Numbers(WaitingCalls::Which::kAll);
  }
  for (uint64_t id : ids) {
    OutboundCall* call = TakeWaiting(id);
    if (call == nullptr) continue;
    absl::Status why;
    switch (link->TryStart(*call, &why)) {
      case CallLink::StartResult::kStarted:
        break;
      case CallLink::StartResult::kRefused:
        CompleteNow(*call, why);
        break;
      case CallLink::StartResult::kGone:
        WaitOn(*call);
        return false;
    }
  }
  return true;
}

// A call that was taken out of those that wait, and that no link took: goes back to its place. It
// posts nothing: a call must not ask for a link again and again while there is none.
void ChannelCore::WaitOn(OutboundCall& call) {
  absl::Status refused;
  {
    MutexLock lock(mu_);
    if (state_ == State::kClosed) {
      refused = absl::UnavailableError("the channel was closed");
    } else if (state_ == State::kPausing && !call.options.wait_for_ready && call.resent == 0) {
      refused = last_error_;
    } else {
      refused = waiting_.PutBack(call);
      if (refused.ok()) {
        call.deadline_target = this;
        io_.wheel->Insert(&call, call.deadline);
      }
    }
  }
  if (!refused.ok()) CompleteNow(call, refused);
}

void ChannelCore::FailWaiting(const absl::Status& why, WaitingCalls::Which which) {
  std::vector<uint64_t> ids;
  {
    MutexLock lock(mu_);
    ids = waiting_.Numbers(which);
  }
  for (uint64_t id : ids) {
    if (OutboundCall* call = TakeWaiting(id)) CompleteNow(*call, why);
  }
}

// The attempt, or a connection that was up only for a moment, came to nothing: pause before the
// next.
void ChannelCore::ConnectFailed(const absl::Status& why, WaitingCalls::Which failing) {
  failed_connects_.fetch_add(1, std::memory_order_relaxed);
  on_loop_->dialer.AvoidLast();
  const Nanos pause = backoff_.Next();
  {
    MutexLock lock(mu_);
    if (state_ == State::kClosed) return;
    state_ = State::kPausing;
    link_.reset();
    last_error_ = absl::Status(
        why.code(), absl::StrCat(std::string(why.message()), "; next attempt in ", InMs(pause)));
  }
  on_loop_->pause.StartAfter(pause);
  FailWaiting(why, failing);
}

// The connection is over, or takes no more calls.
void ChannelCore::LinkLost(const absl::Status& why) {
  SetLink(nullptr);
  const bool lasted = loop_->clock().Now() - up_since_ >= kLasting;
  if (lasted) backoff_.Reset();
  if (lasted && !absl::IsUnauthenticated(why) && !absl::IsPermissionDenied(why)) {
    if (on_loop_ != nullptr) on_loop_->dialer.AvoidLast();
    BeginConnect();
  } else {
    ConnectFailed(why, WaitingCalls::Which::kNew);
  }
}

void ChannelCore::OnGoingAway(Session& session, const absl::Status& why) {
  if (session_.get() != &session) return;
  const bool was_up = loop_link_ != nullptr;
  leaving_.push_back({std::move(session_), loop_->clock().Now(), why});
  list_.Set(IdOf(session), ConnectionState::kGoingAway, CloseReason::kGoAway, why);
  // The next connection before the end of this one, which comes when none of its calls is under
  // way: that end's callbacks find the channel as it is then.
  if (was_up) {
    LinkLost(why);
  } else if (std::exchange(opening_, nullptr) != nullptr) {
    ConnectFailed(Annotate(why, "handshake"));
  }
}

void ChannelCore::OnEnded(Session& session, CloseReason reason, const absl::Status& why) {
  if (log_.Wants(LogLevel::kInfo) && reason != CloseReason::kLocal) {
    const std::string_view name = CloseReasonName(reason);
    log_.Info(absl::StrCat("channel to ", target_, ": ",
                           absl::string_view(name.data(), name.size()), ": ",
                           std::string(why.message())));
  }
  list_.Set(IdOf(session), ConnectionState::kDown, reason, why);
  ids_.erase(&session);
  std::unique_ptr<Session> ended;
  if (session_.get() == &session) {
    ended = std::move(session_);
    const bool was_up = std::exchange(opening_, nullptr) == nullptr;
    if (on_loop_ != nullptr) {  // else the channel is closing
      if (was_up) {
        LinkLost(why);
      } else {
        ConnectFailed(Annotate(why, "handshake"));
      }
    }
  } else {
    const auto it = std::find_if(leaving_.begin(), leaving_.end(),
                                 [&](const Leaving& l) { return l.session.get() == &session; });
    WEFT_DCHECK(it != leaving_.end());  // a session ends once
    ended = std::move(it->session);
    leaving_.erase(it);
  }
  // Not now: its callbacks are still on the stack.
  loop_->Post(
      [self = shared_from_this(), ended = std::move(ended)](TaskFate) mutable { ended.reset(); });
}

}  // namespace weft
