#include "weft/rpc/client/endpoint_connection.h"

#include <algorithm>
#include <utility>

#include "absl/base/optimization.h"
#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/check.h"
#include "weft/core/named_peer.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/protocol/session_seed.h"

namespace weft::internal {
namespace {

// A connection that was up for this long was a good one: the next attempt need not wait.
constexpr Nanos kLasting = std::chrono::seconds(1);

DialerOptions DialerOf(const EndpointOptions& endpoint) {
  DialerOptions options;
  options.network = endpoint.network;
  options.transport = endpoint.transport;
  if (!endpoint.protocol.alpn.empty()) options.alpn.emplace_back(endpoint.protocol.alpn);
  const SessionLimits& limits = *endpoint.limits;
  options.lost_after = ToNanos(limits.heartbeat_interval * (limits.heartbeat_misses + 1));
  return options;
}

std::shared_ptr<const SessionConfig> ConfigOf(const EndpointOptions& options) {
  SessionConfig config;
  config.limits = options.limits;
  config.gate = std::make_shared<InflateGate>(options.limits->inflate, "channel");
  return std::make_shared<const SessionConfig>(std::move(config));
}

bool Contains(std::span<const uint64_t> numbers, uint64_t number) {
  return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
}

}  // namespace

EndpointConnection::OnLoop::OnLoop(EventLoop& loop, EndpointConnection* self)
    : dialer(loop, DialerOf(self->options_)),
      pause(loop,
            [self] {
              self->loop_->AssertInLoop();
              self->BeginConnect();
            }),
      idle_look(loop, [self] {
        self->loop_->AssertInLoop();
        self->LookForIdle();
      }) {}

EndpointConnection::EndpointConnection(IoThread& io, const Log& log, EndpointOptions options)
    : io_(io),
      loop_(io.loop),
      log_(log),
      options_(std::move(options)),
      config_(ConfigOf(options_)),
      sessions_(*loop_, options_.on_connection),
      pace_{DialPauses(ToNanos(options_.backoff), options_.backoff_factor,
                       ToNanos(options_.max_backoff), options_.backoff_jitter,
                       loop_->random().Next()),
            OutageLog(log, "channel", "server")},
      slot_(*loop_) {}

EndpointConnection::~EndpointConnection() = default;

bool EndpointConnection::MayFollow(State from, State to) {
  switch (from) {
    case State::kIdle:
    case State::kPausing:
      return to == State::kConnecting || to == State::kClosed;
    case State::kConnecting:
      return to == State::kUp || to == State::kPausing || to == State::kClosed;
    case State::kUp:
      return to == State::kIdle || to == State::kPausing || to == State::kClosed;
    case State::kClosed:
      return false;
  }
  return false;
}

void EndpointConnection::set_state(State to) {
  WEFT_DCHECK(MayFollow(published_.state, to));
  published_.state = to;
}

// ---- from any thread

PickedLink EndpointConnection::Pick(const PickRequest& request, absl::Status* why) {
  if (loop_->InLoop()) {
    loop_->AssertInLoop();
    // The link changes on this loop only, so no lock and no share of it is needed here.
    if (loop_link_ != nullptr && ABSL_PREDICT_TRUE(request.gone.empty())) {
      return {loop_link_->link.get(), loop_link_->number};
    }
  }
  MutexLock lock(mu_);
  const NumberedLink* const link = published_.link.get();
  if (link != nullptr && !Contains(request.gone, link->number)) {
    return {link->link.get(), link->number, link->link};
  }
  if (published_.state == State::kClosed) {
    *why = absl::UnavailableError("the channel was closed");
  } else if (published_.state == State::kPausing && !request.wait_for_ready) {
    *why = published_.last_error;
  }
  return {};
}

void EndpointConnection::Connect(bool at_once) {
  const auto begin = [this, at_once] {
    loop_->AssertInLoop();
    if (!at_once) {
      MutexLock lock(mu_);
      if (published_.state != State::kIdle) return;
    }
    BeginConnect();
  };
  // Only the waiting room asks so from the loop, in a task of its own: no other function of this
  // object is on the stack.
  if (!at_once && loop_->InLoop()) {
    begin();
    return;
  }
  loop_->Post([self = shared_from_this(), begin](TaskFate fate) {
    if (fate == TaskFate::kRun) begin();
  });
}

// The state changes at once, so that Pick says so to every thread. The sessions are closed in a
// posted task, behind the user's code that runs on the loop now and behind the tasks that it has
// posted.
void EndpointConnection::Close(std::function<void()> done) {
  {
    MutexLock lock(mu_);
    if (published_.state != State::kClosed) set_state(State::kClosed);
    published_.link = nullptr;
    slot_.Set(nullptr);
  }
  loop_->Post([self = shared_from_this(), this, done = std::move(done)](TaskFate fate) mutable {
    if (fate == TaskFate::kRun) {
      loop_->AssertInLoop();
      CloseOnLoop();
    }
    // One more turn: CloseOnLoop has posted the destruction of sessions, which comes before this.
    loop_->Post([self, this, done = std::move(done)](TaskFate later) mutable {
      if (later == TaskFate::kCancelled) {
        done();
        return;
      }
      loop_->AssertInLoop();
      const std::shared_ptr<InboundService> inbound = std::move(inbound_);
      if (inbound == nullptr) {
        done();
      } else {
        inbound->Drain(std::move(done));
      }
    });
  });
}

// ---- on the loop

void EndpointConnection::CloseOnLoop() {
  const absl::Status why = absl::UnavailableError("the channel was closed");
  // This may run inside a callback of the dialer or a timer, further up the stack. So they are only
  // stopped here, and destroyed in a turn of their own.
  if (on_loop_ != nullptr) {
    on_loop_->dialer.Cancel();
    on_loop_->pause.Stop();
    on_loop_->idle_look.Stop();
  }
  loop_->Post([self = shared_from_this(), things = std::move(on_loop_)](TaskFate) mutable {
    things.reset();
  });
  loop_link_ = nullptr;
  if (sessions_.current() != nullptr) sessions_.current()->Close(CloseReason::kLocal, why);
  // One of these sessions may be ending already, and this may run inside the end of one of its
  // calls.
  for (Session* session : sessions_.table().LeftBy(kNever))
    session->Close(CloseReason::kLocal, why);
}

void EndpointConnection::BeginConnect() {
  {
    MutexLock lock(mu_);
    // Several may ask for a connection at once, and Close may have come: only the first one dials.
    if (!MayFollow(published_.state, State::kConnecting)) return;
    set_state(State::kConnecting);
  }
  if (on_loop_ == nullptr) on_loop_ = std::make_unique<OnLoop>(*loop_, this);
  on_loop_->pause.Stop();
  pace_.dial_began = loop_->clock().Now();
  sessions_.Tell(
      {0, options_.target, ConnectionState::kConnecting, CloseReason::kLocal, absl::OkStatus()});
  if (on_loop_ == nullptr) return;  // the application's listener has closed this
  on_loop_->dialer.Start(options_.address, options_.target, ToNanos(options_.connect_timeout),
                         [this](absl::StatusOr<std::unique_ptr<Transport>> transport) {
                           loop_->AssertInLoop();
                           OnConnected(std::move(transport));
                         });
}

void EndpointConnection::OnConnected(absl::StatusOr<std::unique_ptr<Transport>> transport) {
  if (!transport.ok()) {
    sessions_.Tell(
        {0, options_.target, ConnectionState::kDown, CloseReason::kBroken, transport.status()});
    ConnectFailed(transport.status(), LinkObserver::NoLink::kFailed);
    return;
  }
  SessionSeed seed;
  seed.transport = *std::move(transport);
  seed.peer = options_.target;
  seed.began = pace_.dial_began;
  if (options_.hello != nullptr) seed.own = *options_.hello;
  // Dialing and the session's handshake share connect_timeout: this is the rest.
  const absl::Duration left =
      options_.connect_timeout - ToAbsl(loop_->clock().Now() - pace_.dial_began);
  seed.handshake_left = ToNanos(std::max(left, absl::Milliseconds(1)));
  if (inbound_ == nullptr && options_.make_inbound != nullptr) {
    inbound_ = options_.make_inbound(loop_);
  }
  SessionContext context{io_, *this, nullptr, nullptr, config_};
  std::shared_ptr<CallAuthentication> calls;
  if (inbound_ != nullptr) {
    calls = inbound_->Authenticating(io_, seed.transport->identity());
    context.sink = calls != nullptr ? calls.get() : inbound_->sink();
    context.pool = inbound_->pool();
  }
  Session& session = sessions_.Adopt(options_.protocol.dial(std::move(seed), context),
                                     options_.target, pace_.dial_began, std::move(calls));
  (void)session.Start();  // a failure comes by OnEnded
}

void EndpointConnection::Authenticate(Session& session, std::string_view token, Verdict verdict) {
  if (CallAuthentication* const calls = sessions_.CallsOf(session)) calls->SetToken(token);
  // This side dialled, so there is no verdict to give on the connection. The authenticator is asked
  // when the other side makes calls.
  verdict(std::string(session.peer_identity().first_name()));
}

void EndpointConnection::OnSuspect(Session& session, bool suspect) {
  sessions_.table().SetSuspect(session, suspect);
}

void EndpointConnection::OnLastCallEnded(Session& session) {
  session.CloseWhenWritten(CloseReason::kGoAway, absl::Status(sessions_.table().why(session)),
                           kLastWords);
}

// Both sides know that the connection is over, and nothing is on its way any more.
void EndpointConnection::OnGoAwayConfirmed(Session& session) {
  if (sessions_.current() != &session) CloseIfIdle(session);
}

void EndpointConnection::CloseIfIdle(Session& session) {
  if (session.gauge()->Volume().calls > 0) return;
  session.CloseWhenWritten(CloseReason::kLocal,
                           absl::UnavailableError("the connection was not used"), kLastWords);
}

// Runs every quarter of idle_timeout, while there is a connection.
void EndpointConnection::LookForIdle() {
  // A server that has not confirmed the going-away in time is not waited for.
  const MonoTime now = loop_->clock().Now();
  for (Session* session : sessions_.table().LeftBy(now - kGoAwayConfirm)) CloseIfIdle(*session);
  if (on_loop_ == nullptr) return;  // an ended call's callback has closed this
  if (loop_link_ == nullptr && !sessions_.any_leaving()) return;
  on_loop_->idle_look.StartAfter(ToNanos(options_.idle_timeout) / IdleWatch::kLooks);
  if (loop_link_ == nullptr) return;
  Session& session = *sessions_.current();
  if (!pace_.idle.Look(session.gauge()->Volume())) return;
  const absl::Status why = absl::UnavailableError(absl::StrCat(
      "no calls for ", absl::FormatDuration(options_.idle_timeout), " (idle_timeout)"));
  // From here on calls of other threads go to the next connection. A call that slipped in before
  // finishes on this one.
  loop_link_->link->StopStarting();
  SetLink(State::kIdle, nullptr);
  sessions_.LeaveCurrent(CloseReason::kLocal, why);
  session.GoAway(why);
}

void EndpointConnection::OnUp(Session& session) {
  counts_.connects.fetch_add(1, std::memory_order_relaxed);
  pace_.up_since = loop_->clock().Now();
  std::shared_ptr<CallLink> link = sessions_.TakeOpening();
  pace_.idle = IdleWatch();
  if (options_.idle_timeout > absl::ZeroDuration() && on_loop_ != nullptr) {
    on_loop_->idle_look.StartAfter(ToNanos(options_.idle_timeout) / IdleWatch::kLooks);
  }
  // Publish the link before the listener hears of the connection: it may start calls, which must
  // find the link.
  SetLink(State::kUp, std::make_shared<const NumberedLink>(
                          NumberedLink{std::move(link), sessions_.table().number(session)}));
  sessions_.table().SetUp(session);
  if (pace_.outage.out()) AwaitLasting();
  observer_->OnLink();
}

void EndpointConnection::AwaitLasting() {
  if (on_loop_ == nullptr) return;  // the listener closed us
  on_loop_->lasting = std::make_unique<Timer>(*loop_, [this] {
    loop_->AssertInLoop();
    if (loop_link_ != nullptr) pace_.outage.Back(pace_.up_since, options_.target);
  });
  on_loop_->lasting->StartAfter(kLasting);
}

void EndpointConnection::SetLink(State to, std::shared_ptr<const NumberedLink> link) {
  MutexLock lock(mu_);
  if (published_.state == State::kClosed) {
    loop_link_ = nullptr;
    return;
  }
  set_state(to);
  loop_link_ = link;
  slot_.Set(link);
  published_.link = std::move(link);
}

// Handles an attempt that failed, or a connection that was up only for a moment: pauses before the
// next attempt.
void EndpointConnection::ConnectFailed(const absl::Status& why, LinkObserver::NoLink how) {
  counts_.failed.fetch_add(1, std::memory_order_relaxed);
  // Where the name has several addresses, the next attempt begins with another one.
  on_loop_->dialer.AvoidLast();
  on_loop_->lasting.reset();
  pace_.outage.Failed(loop_->clock().Now(), options_.target, why);
  const Nanos pause = pace_.pauses.Next(why);
  loop_link_ = nullptr;
  {
    MutexLock lock(mu_);
    if (published_.state == State::kClosed) return;
    set_state(State::kPausing);
    published_.link = nullptr;
    slot_.Set(nullptr);
    published_.last_error = absl::Status(
        why.code(), absl::StrCat(std::string(why.message()), "; next attempt in ", InMs(pause)));
  }
  on_loop_->pause.StartAfter(pause);
  // Without the lock, and after the state is set: the observer ends calls, whose callbacks may
  // pick.
  observer_->OnNoLink(why, how);
}

// The connection is over, or takes no more calls: dials again at once if it had lasted.
void EndpointConnection::LinkLost(const absl::Status& why, bool told) {
  // A refusal counts as a failed attempt however long the connection was up: a slow authenticator
  // may refuse late.
  const bool lasted =
      loop_->clock().Now() - pace_.up_since >= kLasting && !DialPauses::IsRefusal(why);
  if (lasted) {
    pace_.pauses.Reset();
    if (pace_.outage.out())
      pace_.outage.Back(pace_.up_since, options_.target);  // before its timer ran
    if (!told) pace_.outage.Lost(loop_->clock().Now(), options_.target, why);
    SetLink(State::kIdle, nullptr);
    if (on_loop_ != nullptr) on_loop_->dialer.AvoidLast();
    BeginConnect();
  } else {
    ConnectFailed(why, LinkObserver::NoLink::kEndedEarly);
  }
}

void EndpointConnection::OnGoingAway(Session& session, const absl::Status& why) {
  if (sessions_.current() != &session) return;
  const bool was_up = loop_link_ != nullptr;
  sessions_.LeaveCurrent(CloseReason::kGoAway, why);
  // Begin the next connection before this one ends, which it does when none of its calls is under
  // way: callbacks of that end find this object in its new state.
  if (was_up) {
    LinkLost(why, /*told=*/true);
  } else if (sessions_.TakeOpening() != nullptr) {
    ConnectFailed(Annotate(why, "handshake"), LinkObserver::NoLink::kFailed);
  }
}

void EndpointConnection::OnEnded(Session& session, CloseReason reason, const absl::Status& why) {
  if (log_.Wants(LogLevel::kDebug) && reason != CloseReason::kLocal) {
    const std::string_view name = CloseReasonName(reason);
    log_.Debug(absl::StrCat("channel: connection ended: ", AbslView(name), ": ",
                            NamedPeer::AtEnd(std::string(why.message()), "to", options_.target)));
  }
  if (sessions_.Ended(session, reason, why, shared_from_this())) {
    const bool was_up = sessions_.TakeOpening() == nullptr;
    if (on_loop_ == nullptr) {
      // CloseOnLoop runs: there is nothing to dial for.
    } else if (was_up) {
      LinkLost(why, /*told=*/false);
    } else {
      ConnectFailed(Annotate(why, "handshake"), LinkObserver::NoLink::kFailed);
    }
  }
}

}  // namespace weft::internal
