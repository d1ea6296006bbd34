#include "weft/rpc/server/server_loop.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/check.h"

namespace weft::internal {
namespace {

// Shorter than kLastWords: Stop may have to wait for this, in addition to its drain time.
constexpr Nanos kServerLastWords = std::chrono::milliseconds(500);

// Counts one more, unless there are `most` already (0: no limit). A compare-and-swap, so that the
// limit is never passed although other loops count at the same time.
bool CountOneMore(int64_t most, std::atomic<int64_t>* count) {
  int64_t now = count->load(std::memory_order_relaxed);
  while (most == 0 || now < most) {
    if (count->compare_exchange_weak(now, now + 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

// Zero where the option means never: as zero itself, and infinity, which arithmetic would overflow.
Nanos NeverIsZero(absl::Duration d) {
  return d == absl::InfiniteDuration() ? Nanos::zero() : ToNanos(d);
}

std::shared_ptr<const SessionConfig> ConfigOf(const std::shared_ptr<const ServerOptions>& options,
                                              const ServerCounts& counts, bool of_node) {
  SessionConfig config;
  config.hello_after_verdict = of_node;
  config.pair = of_node;
  config.limits = std::shared_ptr<const SessionLimits>(options, &options->limits);
  config.gate = counts.gate;
  config.compression = options->compression;
  config.max_heartbeat = NeverIsZero(options->max_heartbeat_interval);
  config.input.server = counts.input;
  config.input.unknown = counts.unknown_input;
  return std::make_shared<const SessionConfig>(std::move(config));
}

ConnectionAges::Options AgesOf(const ServerOptions& options) {
  return {.age = NeverIsZero(options.max_connection_age),
          .grace = ToNanos(options.max_connection_age_grace)};
}

}  // namespace

ServerLoop::ServerLoop(IoThread& io, const std::shared_ptr<Dispatcher>& dispatcher,
                       std::shared_ptr<const ServerOptions> options,
                       std::shared_ptr<ServerCounts> counts, const Log& log, CallerMaker callers,
                       NodeSide node)
    : io_(io),
      node_(std::move(node)),
      options_(std::move(options)),
      counts_(std::move(counts)),
      pool_(std::make_shared<CallPool>(dispatcher, dispatcher.get(), std::move(callers))),
      config_(ConfigOf(options_, *counts_, node_.hooks != nullptr)),
      bell_(std::make_shared<LoopBell>(io.loop,
                                       [this] {
                                         loop().AssertInLoop();
                                         // Ended calls tell their sessions, and those tell this
                                         // object.
                                         pool_->Collect();
                                         drain_.OnCallsBack();
                                       })),
      log_(log),
      sink_(loop(), *dispatcher),
      listeners_(
          io, ToNanos(options_->limits.handshake_timeout), sink_,
          [this](const Listener& listener, InboundSink& sink, uint64_t id, const Protocol& protocol,
                 SessionSeed seed, SessionStart start) {
            loop().AssertInLoop();
            Begin(listener, sink, id, protocol.accept, std::move(seed), std::move(start));
          },
          [this](uint64_t id, CloseReason reason, const absl::Status& why) {
            loop().AssertInLoop();
            Count(reason, why, /*peer=*/"", /*of_peer=*/false);
            counts_->connections.Set(id, ConnectionState::kDown, reason, why);
            if (node_.hooks != nullptr) node_.hooks->OnEnded({node_.index, id}, reason, why);
          }),
      sessions_(loop(), counts_->connections, kServerLastWords),
      ages_(io, AgesOf(*options_), sessions_, *pool_, bell_),
      idle_look_(loop(),
                 [this] {
                   loop().AssertInLoop();
                   LookForIdle();
                 }),
      drain_(io.loop, {sessions_, *pool_, authentications_, *dispatcher, bell_}, log) {}

ServerLoop::~ServerLoop() {
  loop().AssertInLoop();
  // Drain has ended every session, and its `done` comes before the owner destroys this.
  WEFT_DCHECK(sessions_.size() == 0);
  bell_->Silence();
  pool_->Close();
}

bool ServerLoop::MakeRoom(const Listener& listener, const std::string& peer) {
  if (!CountOneMore(options_->max_connections, &counts_->open)) {
    log_.Refused(loop().now(), peer,
                 absl::StrCat("the limit of open ones is ", options_->max_connections,
                              " (max_connections)"));
    return false;
  }
  // Memory is reserved for the whole life of the connection here, before anything of it exists:
  // later steps cannot fail for want of memory.
  const size_t needed = sessions_.size() + listeners_.connections() + 1;
  if (listeners_.MakeRoom(listener) && sessions_.MakeRoom(needed) && ages_.MakeRoom(needed)) {
    return true;
  }
  counts_->open.fetch_sub(1, std::memory_order_relaxed);
  log_.Refused(loop().now(), peer,
               absl::StrCat("no memory for a connection more beside ", sessions_.size()));
  return false;
}

void ServerLoop::Adopt(const Listener& listener, std::unique_ptr<Transport> transport,
                       std::string peer) {
  if (drain_.begun() || !MakeRoom(listener, peer)) return;
  counts_->accepted.fetch_add(1, std::memory_order_relaxed);
  const SessionLimits& limits = options_->limits;
  transport->SetLostAfter(ToNanos(limits.heartbeat_interval * (limits.heartbeat_misses + 1)));
  // Listed from the first moment, also while its transport shakes hands; its gauge comes with the
  // session.
  const uint64_t id = counts_->connections.Add(peer, loop().clock().Now(), nullptr);
  if (node_.hooks != nullptr) node_.hooks->OnAccepted({node_.index, id}, peer);
  listeners_.Add(listener, id, std::move(transport), std::move(peer));
}

void ServerLoop::Begin(const Listener& listener, InboundSink& sink, uint64_t id, MakeSession make,
                       SessionSeed seed, SessionStart start) {
  const MonoTime began = seed.began;
  std::shared_ptr<CallAuthentication> calls;
  if (listener.authenticate_calls) {
    calls = std::make_shared<CallAuthentication>(io_, sink, listener.authentications,
                                                 seed.transport->identity());
  }
  // Calls go through the authentication of calls first, where the listener asks for each.
  InboundSink* const first = calls != nullptr ? calls.get() : &sink;
  Session& session =
      sessions_.Adopt(make(std::move(seed), {io_, *this, first, pool_, config_}), id, calls);
  authentications_.Expect(session, listener.authentications, calls.get());
  ages_.Add(session, began);
  if (options_->idle_timeout > absl::ZeroDuration() && sessions_.size() == 1) {
    idle_look_.StartAfter(ToNanos(options_->idle_timeout) / IdleWatch::kLooks);
  }
  (void)session.Start(std::move(start));  // a failure comes by OnEnded
}

uint64_t ServerLoop::NumberDialled(const std::string& peer) {
  if (drain_.begun() || !MakeRoom(*node_.dialled, peer)) return 0;
  return counts_->connections.Add(peer, loop().clock().Now(), nullptr);
}

void ServerLoop::AdoptDialled(uint64_t id, const Protocol& protocol, SessionSeed seed) {
  Begin(*node_.dialled, sink_, id, protocol.dial, std::move(seed), SessionStart());
}

void ServerLoop::Leave(uint64_t id, const absl::Status& why, Nanos grace) {
  Session* const session = sessions_.Find(id);
  if (session != nullptr && !drain_.begun()) ages_.Leave(*session, why, grace);
}

void ServerLoop::Close(uint64_t id, CloseReason reason, const absl::Status& why) {
  // The node names connections by number, so one that has ended meanwhile is simply not found.
  if (Session* const session = sessions_.Find(id)) {
    session->CloseWhenWritten(reason, why, kServerLastWords);
  } else {
    listeners_.DropOne(id, reason, why);
  }
}

void ServerLoop::SetMayPause(uint64_t id, bool may) {
  if (Session* const session = sessions_.Find(id)) session->SetMayPause(may);
}

void ServerLoop::Probe(uint64_t id, std::function<void()> alive) {
  if (Session* const session = sessions_.Find(id)) session->Probe(std::move(alive));
}

absl::Status ServerLoop::OnHello(Session& session, const HelloFacts& peer, HelloFacts* own) {
  if (node_.hooks != nullptr) return node_.hooks->OnHello(RefOf(session), peer);
  own->token = options_->auth_token;
  return absl::OkStatus();
}

absl::Status ServerLoop::OnIdentified(Session& session, const ConnectedPeer& who,
                                      const HelloFacts& peer, HelloFacts* own) {
  if (node_.hooks == nullptr) return absl::OkStatus();
  if (own != nullptr) own->token = options_->auth_token;
  const SessionRef ref = RefOf(session);
  absl::Status s = node_.hooks->OnIdentified(ref, who, peer, own);
  if (s.ok()) session.SetWay(node_.hooks->WayOf(ref));
  return s;
}

void ServerLoop::OnUp(Session& session) {
  authentications_.Forget(session);
  ages_.OnUp(session);
  sessions_.SetUp(session);
  // The application's listener may have ended the session inside SetUp.
  if (node_.hooks == nullptr || !sessions_.Contains(session)) return;
  const SessionRef ref = RefOf(session);
  if (node_.hooks->Stays(ref)) {
    ages_.Remove(session);
    sessions_.SetAnswers(session);
  }
  node_.hooks->OnUp(ref, session.link(), session.gauge());
}

void ServerLoop::OnSuspect(Session& session, bool suspect) {
  sessions_.SetSuspect(session, suspect);
  if (node_.hooks == nullptr || !sessions_.Contains(session)) return;
  node_.hooks->OnSuspect(RefOf(session), suspect);
}

void ServerLoop::OnGoAwayConfirmed(Session& session) {
  sessions_.SetConfirmed(session);
  CloseIfFinished(session);
}

// Only a node cares: a plain client that goes away gets no calls from this side anyway.
void ServerLoop::OnGoingAway(Session& session, const absl::Status& why) {
  if (node_.hooks != nullptr) node_.hooks->OnGoingAway(RefOf(session), why);
}

void ServerLoop::OnOwnCallsEnded(Session& session) {
  if (node_.hooks != nullptr) node_.hooks->OnOwnCallsEnded(RefOf(session));
}

void ServerLoop::CloseIfFinished(Session& session) {
  if (drain_.begun()) {
    drain_.CloseIfFinished(session);
  } else {
    ages_.CloseIfFinished(session);
  }
}

// Runs every quarter of idle_timeout, while there are connections.
void ServerLoop::LookForIdle() {
  if (drain_.begun() || sessions_.size() == 0) return;
  // Calls that were answered since the last turn count as ended only when they are collected.
  pool_->Collect();
  idle_look_.StartAfter(ToNanos(options_->idle_timeout) / IdleWatch::kLooks);
  const absl::Status why = absl::UnavailableError(
      absl::StrCat("no calls for ", absl::FormatDuration(options_->idle_timeout),
                   " (idle_timeout of the server)"));
  const MonoTime now = loop().clock().Now();
  for (Session* session : sessions_.LookForIdle()) {
    // The end of one session may end others: its callbacks are the application's.
    if (!sessions_.Contains(*session)) continue;
    if (node_.hooks != nullptr && node_.hooks->Stays(RefOf(*session))) continue;
    if (sessions_.SetLeaving(*session, CloseReason::kLocal, why)) {
      session->GoAway(why);
    } else if (sessions_.Finished(*session, now - sessions_.since(*session) >= kGoAwayConfirm)) {
      // The client closes the connection when it has heard of the going-away. If it has not in
      // time, this side does.
      sessions_.Close(*session, why);
    }
  }
}

void ServerLoop::Count(CloseReason reason, const absl::Status& why, std::string_view peer,
                       bool of_peer) {
  counts_->open.fetch_sub(1, std::memory_order_relaxed);
  counts_->closed.Add(reason);
  log_.Ended(loop().now(), reason, why, peer, of_peer);
}

void ServerLoop::OnEnded(Session& session, CloseReason reason, const absl::Status& why) {
  // The number is read first: the table forgets the session below.
  const SessionRef ref = RefOf(session);
  ages_.Remove(session);
  authentications_.Forget(session);
  // The counts go first: a listener that is told of the end sees them as they are behind it.
  Count(reason, why, session.peer(), node_.hooks != nullptr && node_.hooks->Stays(ref));
  sessions_.Ended(session, reason, why);
  if (node_.hooks != nullptr) node_.hooks->OnEnded(ref, reason, why);
  drain_.OnSessionEnded();
}

void ServerLoop::Authenticate(Session& session, std::string_view token, Verdict verdict) {
  if (node_.hooks != nullptr) {
    verdict = node_.hooks->Judge(RefOf(session), session.peer(), std::move(verdict));
  }
  authentications_.Ask(session, token, std::move(verdict));
}

void ServerLoop::Drain(MonoTime deadline, std::function<void()> done) {
  listeners_.Drop(CloseReason::kLocal, absl::UnavailableError("the server is stopping"));
  drain_.Begin(deadline, std::move(done));
}

}  // namespace weft::internal
