#include "weft/rpc/server/server_loop.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/check.h"

namespace weft {
namespace {

// Shorter than kLastWords: Stop may have to wait for it, behind its drain time.
constexpr Nanos kServerLastWords = std::chrono::milliseconds(500);

// Unless there are `most` (0: no limit); other loops count at the same time.
bool CountOneMore(int64_t most, std::atomic<int64_t>* count) {
  int64_t now = count->load(std::memory_order_relaxed);
  while (most == 0 || now < most) {
    if (count->compare_exchange_weak(now, now + 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

std::shared_ptr<const SessionConfig> ConfigOf(const std::shared_ptr<const ServerOptions>& options,
                                              const ServerCounts& counts) {
  SessionConfig config;
  config.limits = std::shared_ptr<const SessionLimits>(options, &options->limits);
  config.gate = counts.gate;
  config.compression = options->compression;
  config.max_heartbeat = ToNanos(std::max(options->max_heartbeat_interval, absl::ZeroDuration()));
  config.input.server = counts.input;
  config.input.unknown = counts.unknown_input;
  return std::make_shared<const SessionConfig>(std::move(config));
}

ConnectionAges::Options AgesOf(const ServerOptions& options) {
  return {.age = ToNanos(std::max(options.max_connection_age, absl::ZeroDuration())),
          .grace = ToNanos(options.max_connection_age_grace)};
}

}  // namespace

ServerLoop::ServerLoop(IoThread& io, const std::shared_ptr<Dispatcher>& dispatcher,
                       std::shared_ptr<const ServerOptions> options,
                       std::shared_ptr<ServerCounts> counts, const Log& log, CallerMaker callers)
    : io_(io),
      loop_(*io.loop),
      options_(std::move(options)),
      counts_(std::move(counts)),
      pool_(std::make_shared<CallPool>(dispatcher, dispatcher.get(), std::move(callers))),
      config_(ConfigOf(options_, *counts_)),
      bell_(std::make_shared<LoopBell>(io.loop,
                                       [this] {
                                         loop_.AssertInLoop();
                                         // Calls that end tell their sessions, which tell us.
                                         pool_->Collect();
                                         drain_.OnCallsBack();
                                       })),
      log_(log),
      sink_(loop_, *dispatcher),
      listeners_(
          io, ToNanos(options_->limits.handshake_timeout), sink_,
          [this](const Listener& listener, InboundSink& sink, uint64_t id, const Protocol& protocol,
                 SessionSeed seed, SessionStart start) {
            loop_.AssertInLoop();
            Begin(listener, sink, id, protocol, std::move(seed), std::move(start));
          },
          [this](uint64_t id, CloseReason reason, const absl::Status& why) {
            loop_.AssertInLoop();
            Count(reason, why);
            counts_->connections.Set(id, ConnectionState::kDown, reason, why);
          }),
      sessions_(loop_, counts_->connections, kServerLastWords),
      ages_(io, AgesOf(*options_), sessions_, *pool_, bell_),
      idle_look_(loop_,
                 [this] {
                   loop_.AssertInLoop();
                   LookForIdle();
                 }),
      drain_(io.loop, {sessions_, *pool_, authentications_, *dispatcher, bell_}, log) {}

ServerLoop::~ServerLoop() {
  loop_.AssertInLoop();
  WEFT_DCHECK(sessions_.size() == 0);
  bell_->Silence();
  pool_->Close();
}

bool ServerLoop::MakeRoom(const Listener& listener) {
  const size_t needed = sessions_.size() + listeners_.connections() + 1;
  return listeners_.MakeRoom(listener) && sessions_.MakeRoom(needed) && ages_.MakeRoom(needed);
}

void ServerLoop::Adopt(const Listener& listener, std::unique_ptr<Transport> transport,
                       std::string peer) {
  if (drain_.begun()) return;
  if (!CountOneMore(options_->max_connections, &counts_->open)) {
    log_.Refused(loop_.now(), peer,
                 absl::StrCat("the limit of open ones is ", options_->max_connections,
                              " (max_connections)"));
    return;
  }
  if (!MakeRoom(listener)) {
    counts_->open.fetch_sub(1, std::memory_order_relaxed);
    log_.Refused(loop_.now(), peer,
                 absl::StrCat("no memory for a connection more beside ", sessions_.size()));
    return;
  }
  counts_->accepted.fetch_add(1, std::memory_order_relaxed);
  const SessionLimits& limits = options_->limits;
  transport->SetLostAfter(ToNanos(limits.heartbeat_interval * (limits.heartbeat_misses + 1)));
  const uint64_t id = counts_->connections.Add(peer, loop_.clock().Now(), nullptr);
  listeners_.Add(listener, id, std::move(transport), std::move(peer));
}

void ServerLoop::Begin(const Listener& listener, InboundSink& sink, uint64_t id,
                       const Protocol& protocol, SessionSeed seed, SessionStart start) {
  const MonoTime accepted = seed.began;
  std::shared_ptr<CallAuthentication> calls;
  if (listener.authenticate_calls) {
    calls = std::make_shared<CallAuthentication>(io_, sink, listener.authentications,
                                                 seed.transport->identity());
  }
  InboundSink* const first = calls != nullptr ? calls.get() : &sink;
  Session& session = sessions_.Adopt(
      protocol.accept(std::move(seed), {io_, *this, first, pool_, config_}), id, calls);
  authentications_.Expect(session, listener.authentications, calls.get());
  ages_.Add(session, accepted);
  if (options_->idle_timeout > absl::ZeroDuration() && sessions_.size() == 1) {
    idle_look_.StartAfter(ToNanos(options_->idle_timeout) / IdleWatch::kLooks);
  }
  (void)session.Start(std::move(start));  // a failure ends the session, which tells us
}

absl::Status ServerLoop::OnHello(Session&, const HelloFacts&, HelloFacts* own) {
  own->token = options_->auth_token;
  return absl::OkStatus();
}

void ServerLoop::OnUp(Session& session) {
  authentications_.Forget(session);
  ages_.OnUp(session);
  sessions_.SetUp(session);
}

void ServerLoop::OnSuspect(Session& session, bool suspect) {
  sessions_.SetSuspect(session, suspect);
}

void ServerLoop::OnGoAwayConfirmed(Session& session) {
  sessions_.SetConfirmed(session);
  CloseIfFinished(session);
}

void ServerLoop::OnGoingAway(Session& session, const absl::Status&) {
  // A client that takes no more calls from us: we make none.
  (void)session;
}

void ServerLoop::CloseIfFinished(Session& session) {
  if (drain_.begun()) {
    drain_.CloseIfFinished(session);
  } else {
    ages_.CloseIfFinished(session);
  }
}

// Every quarter of idle_timeout, while there are connections.
void ServerLoop::LookForIdle() {
  if (drain_.begun() || sessions_.size() == 0) return;
  pool_->Collect();
  idle_look_.StartAfter(ToNanos(options_->idle_timeout) / IdleWatch::kLooks);
  const absl::Status why = absl::UnavailableError(
      absl::StrCat("no calls for ", absl::FormatDuration(options_->idle_timeout),
                   " (idle_timeout of the server)"));
  const MonoTime now = loop_.clock().Now();
  for (Session* session : sessions_.LookForIdle()) {
    if (!sessions_.Contains(*session)) continue;
    if (sessions_.SetLeaving(*session, CloseReason::kLocal, why)) {
      session->GoAway(why);
    } else if (sessions_.Finished(*session, now - sessions_.since(*session) >= kGoAwayConfirm)) {
      // The client closes it when it has heard; where it has not in time, this side does.
      sessions_.Close(*session, why);
    }
  }
}

void ServerLoop::Count(CloseReason reason, const absl::Status& why) {
  counts_->open.fetch_sub(1, std::memory_order_relaxed);
  counts_->closed.Add(reason);
  log_.Ended(loop_.now(), reason, why);
}

void ServerLoop::OnEnded(Session& session, CloseReason reason, const absl::Status& why) {
  ages_.Remove(session);
  authentications_.Forget(session);
  Count(reason, why);
  sessions_.Ended(session, reason, why);
  drain_.OnSessionEnded();
}

void ServerLoop::Authenticate(Session& session, std::string_view token, Verdict verdict) {
  authentications_.Ask(session, token, std::move(verdict));
}

void ServerLoop::Drain(MonoTime deadline, std::function<void()> done) {
  listeners_.Drop(CloseReason::kLocal, absl::UnavailableError("the server is stopping"));
  drain_.Begin(deadline, std::move(done));
}

}  // namespace weft
