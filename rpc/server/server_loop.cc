#include "weft/rpc/server/server_loop.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "weft/core/check.h"
#include "weft/core/random_bits.h"
#include "weft/core/try_allocate.h"

namespace weft {
namespace {

// Shorter than kLastWords: Stop may have to wait for it, behind its drain time.
constexpr Nanos kServerLastWords = std::chrono::milliseconds(500);
constexpr Nanos kWarnEvery = std::chrono::seconds(5);

LogLevel LevelOf(CloseReason reason) {
  switch (reason) {
    case CloseReason::kPeerClosed:
    case CloseReason::kLocal:
    case CloseReason::kGoAway:
      return LogLevel::kDebug;
    case CloseReason::kBroken:
      return LogLevel::kInfo;
    default:
      return LogLevel::kWarning;
  }
}

absl::Status TooOld() {
  return absl::UnavailableError("the connection has reached its max_connection_age");
}

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

}  // namespace

ServerLoop::ServerLoop(IoThread& io, std::shared_ptr<Dispatcher> dispatcher,
                       std::shared_ptr<const ServerOptions> options,
                       std::shared_ptr<ServerCounts> counts, const Log& log, CallerMaker callers)
    : io_(io),
      loop_(*io.loop),
      dispatcher_(std::move(dispatcher)),
      options_(std::move(options)),
      counts_(std::move(counts)),
      log_(log),
      sink_(loop_, *dispatcher_),
      pool_(std::make_shared<CallPool>(dispatcher_, dispatcher_.get(), std::move(callers))),
      config_(ConfigOf(options_, *counts_)),
      idle_look_(loop_,
                 [this] {
                   loop_.AssertInLoop();
                   LookForIdle();
                 }),
      random_(RandomSeed()),
      bell_(std::make_shared<LoopBell>(io.loop,
                                       [this] {
                                         loop_.AssertInLoop();
                                         // Calls that end tell their sessions, which tell us.
                                         pool_->Collect();
                                         ContinueDrain();
                                       })),
      drain_timer_(loop_, [this] {
        loop_.AssertInLoop();
        OnDrainTimer();
      }) {}

ServerLoop::~ServerLoop() {
  loop_.AssertInLoop();
  WEFT_DCHECK(sessions_.empty());
  bell_->Silence();
  pool_->Close();
}

void ServerLoop::Refuse(const std::string& peer, const std::string& why) {
  int64_t dropped = 0;
  if (!limiter_.Allow(loop_.now(), &dropped)) return;
  log_.Warning(
      absl::StrCat("server: connection from ", peer, " refused: ", why,
                   dropped > 0 ? absl::StrCat("; ", dropped, " lines were left out") : ""));
}

ServerLoop::Part& ServerLoop::PartOf(const Listener& listener) {
  Part& part = parts_[&listener];
  if (part.incoming != nullptr) return part;
  part.incoming = std::make_unique<IncomingConnections>(
      io_, listener.protocols, listener.transport, ToNanos(options_->limits.handshake_timeout),
      [this, &listener](uint64_t id, const Protocol& protocol, SessionSeed seed,
                        SessionStart start) {
        loop_.AssertInLoop();
        Begin(listener, id, protocol, std::move(seed), std::move(start));
      },
      [this](uint64_t id, CloseReason reason, const absl::Status& why) {
        loop_.AssertInLoop();
        Count(id, reason, why);
      });
  if (!listener.services.empty()) {
    part.limited = std::make_unique<LimitedSink>(sink_, listener.services);
  }
  return part;
}

// In the tables, for one connection more.
bool ServerLoop::MakeRoom(Part& part) {
  return part.incoming->MakeRoom() && TryAllocate([this] {
           loop_.AssertInLoop();
           size_t needed = sessions_.size() + 1;
           for (const auto& [listener, each] : parts_) needed += each.incoming->size();
           if (needed > sessions_.bucket_count()) sessions_.reserve(needed * 2);
           if (options_->max_connection_age > absl::ZeroDuration() &&
               needed > ages_.bucket_count()) {
             ages_.reserve(needed * 2);
           }
         });
}

void ServerLoop::Adopt(const Listener& listener, std::unique_ptr<Transport> transport,
                       std::string peer) {
  if (drain_.step != DrainStep::kNone) return;
  if (!CountOneMore(options_->max_connections, &counts_->open)) {
    Refuse(peer, absl::StrCat("the limit of open ones is ", options_->max_connections,
                              " (max_connections)"));
    return;
  }
  Part& part = PartOf(listener);
  if (!MakeRoom(part)) {
    counts_->open.fetch_sub(1, std::memory_order_relaxed);
    Refuse(peer, absl::StrCat("no memory for a connection more beside ", sessions_.size()));
    return;
  }
  counts_->accepted.fetch_add(1, std::memory_order_relaxed);
  const SessionLimits& limits = options_->limits;
  transport->SetLostAfter(ToNanos(limits.heartbeat_interval * (limits.heartbeat_misses + 1)));
  const uint64_t id = counts_->connections.Add(peer, loop_.clock().Now(), nullptr);
  part.incoming->Add(id, std::move(transport), std::move(peer));
}

void ServerLoop::Begin(const Listener& listener, uint64_t id, const Protocol& protocol,
                       SessionSeed seed, SessionStart start) {
  const MonoTime accepted = seed.began;
  LimitedSink* const limited = PartOf(listener).limited.get();
  InboundSink* const sink = limited != nullptr ? static_cast<InboundSink*>(limited) : &sink_;
  std::unique_ptr<Session> session =
      protocol.accept(std::move(seed), {io_, *this, sink, pool_, config_});
  Session* const raw = session.get();
  counts_->connections.SetGauge(id, raw->gauge());
  sessions_.emplace(raw, Entry{std::move(session), &listener, id});
  if (options_->idle_timeout > absl::ZeroDuration() && sessions_.size() == 1) {
    idle_look_.StartAfter(ToNanos(options_->idle_timeout) / IdleWatch::kLooks);
  }
  if (options_->max_connection_age > absl::ZeroDuration()) {
    ConnectionAge& age = *(ages_[raw] = std::make_unique<ConnectionAge>(*this, *raw));
    const Nanos lasts = ConnectionAge::WithJitter(ToNanos(options_->max_connection_age), &random_);
    const MonoTime until = SaturatingAdd(accepted, lasts);
    if (until != kNever) io_.wheel->Insert(&age, until);
  }
  (void)raw->Start(std::move(start));  // a failure ends the session, which tells us
}

void ServerLoop::OnUp(Session& session) {
  Entry& entry = sessions_.at(&session);
  entry.up = true;
  entry.authentication = 0;
  counts_->connections.Set(entry.id, ConnectionState::kUp);
  if (const auto age = ages_.find(&session);
      age != ages_.end() && age->second->state == ConnectionAge::State::kDue) {
    // In the next turn: what came during the handshake is served first.
    io_.wheel->Insert(age->second.get(), loop_.clock().Now());
  }
}

void ServerLoop::OnSuspect(Session& session, bool suspect) {
  counts_->connections.Set(sessions_.at(&session).id,
                           suspect ? ConnectionState::kSuspect : ConnectionState::kUp);
}

void ServerLoop::OnGoAwayConfirmed(Session& session) {
  sessions_.at(&session).confirmed = true;
  CloseIfFinished(session);
}

void ServerLoop::CloseIfFinished(Session& session) {
  const auto it = sessions_.find(&session);
  if (it == sessions_.end()) return;
  const Entry& entry = it->second;
  if (drain_.step != DrainStep::kNone) {
    if (!entry.Finished(!entry.up || loop_.clock().Now() >= drain_.confirm_by)) return;
    session.CloseWhenWritten(CloseReason::kLocal, absl::UnavailableError("the server has stopped"),
                             kServerLastWords);
  } else if (const auto age = ages_.find(&session);
             age != ages_.end() && age->second->state == ConnectionAge::State::kAnnounced &&
             entry.Finished(/*waited_for=*/false)) {
    session.CloseWhenWritten(CloseReason::kLocal, TooOld(), kServerLastWords);
  }
}

// Every quarter of idle_timeout, while there are connections.
void ServerLoop::LookForIdle() {
  if (drain_.step != DrainStep::kNone || sessions_.empty()) return;
  pool_->Collect();
  idle_look_.StartAfter(ToNanos(options_->idle_timeout) / IdleWatch::kLooks);
  const absl::Status why = absl::UnavailableError(
      absl::StrCat("no calls for ", absl::FormatDuration(options_->idle_timeout),
                   " (idle_timeout of the server)"));
  const MonoTime now = loop_.clock().Now();
  std::vector<Session*> idle, left;
  for (auto& [session, entry] : sessions_) {
    if (entry.leaving_since != kNever) {
      if (entry.Finished(now - entry.leaving_since >= kGoAwayConfirm)) left.push_back(session);
    } else if (entry.up && entry.idle.Look(session->gauge()->Volume())) {
      idle.push_back(session);
    }
  }
  // The client closes it when it has heard; where it has not in time, this side does.
  for (Session* session : left)
    session->CloseWhenWritten(CloseReason::kLocal, why, kServerLastWords);
  for (Session* session : idle) {
    const auto it = sessions_.find(session);
    if (it == sessions_.end()) continue;
    Entry& entry = it->second;
    entry.leaving_since = now;
    counts_->connections.Set(entry.id, ConnectionState::kGoingAway, CloseReason::kLocal, why);
    session->GoAway(why);
  }
}

void ServerLoop::OnGoingAway(Session& session, const absl::Status&) {
  // A client that takes no more calls from us: we make none.
  (void)session;
}

// A connection is over.
void ServerLoop::Count(uint64_t id, CloseReason reason, const absl::Status& why) {
  counts_->open.fetch_sub(1, std::memory_order_relaxed);
  counts_->closed.Add(reason);
  const LogLevel level = LevelOf(reason);
  int64_t dropped = 0;
  if (log_.Wants(level) && limiter_.Allow(loop_.now(), &dropped)) {
    const std::string_view name = CloseReasonName(reason);
    log_.Write(level,
               absl::StrCat(
                   "server: ", absl::string_view(name.data(), name.size()), ": ",
                   std::string(why.message()),
                   dropped > 0 ? absl::StrCat("; ", dropped, " lines were left out before") : ""));
  }
  counts_->connections.Set(id, ConnectionState::kDown, reason, why);
}

void ServerLoop::OnEnded(Session& session, CloseReason reason, const absl::Status& why) {
  if (const auto age = ages_.find(&session); age != ages_.end()) {
    io_.wheel->Remove(age->second.get());
    if (age->second->state == ConnectionAge::State::kAnnounced) --announced_;
    ages_.erase(age);
    if (announced_ == 0 && drain_.step == DrainStep::kNone) pool_->Unwatch();
  }
  const auto it = sessions_.find(&session);
  StopAuthenticating(it->second);
  std::unique_ptr<Session> ended = std::move(it->second.session);
  const uint64_t id = it->second.id;
  sessions_.erase(it);
  Count(id, reason, why);
  // Not now: its callbacks are still on the stack.
  loop_.Post([ended = std::move(ended)](TaskFate) mutable { ended.reset(); });
  if (drain_.step != DrainStep::kNone) bell_->Ring();
}

void ServerLoop::OnAge(Session& session) {
  loop_.AssertInLoop();
  ConnectionAge& age = *ages_.at(&session);
  const Entry& entry = sessions_.at(&session);
  if (age.state == ConnectionAge::State::kAnnounced) {  // and now its grace is over
    session.CancelInbound();
    session.CloseWhenWritten(CloseReason::kLocal, TooOld(), kServerLastWords);
    return;
  }
  if (!entry.up) {
    age.state = ConnectionAge::State::kDue;
    return;
  }
  age.state = ConnectionAge::State::kAnnounced;
  ++announced_;
  pool_->Watch(bell_);
  const MonoTime grace_end =
      SaturatingAdd(loop_.clock().Now(), ToNanos(options_->max_connection_age_grace));
  counts_->connections.Set(entry.id, ConnectionState::kGoingAway, CloseReason::kLocal, TooOld());
  session.GoAway(TooOld());
  if (!ages_.contains(&session)) return;  // it has ended, and its age with it
  io_.wheel->Insert(&age, grace_end);
  CloseIfFinished(session);  // one that confirms nothing may be
}

void ServerLoop::Authenticate(Session& session, std::string_view token, Verdict verdict) {
  const auto asks = sessions_.find(&session);
  AuthenticationQueue* const queue = asks->second.listener->authentications.get();
  if (queue == nullptr) {
    verdict(std::string(session.peer_identity().first_name()));
    return;
  }
  const uint64_t number =
      queue->Ask(token, session.peer(), std::move(verdict), session.peer_identity());
  // A refusal comes at once, and may have ended the session.
  if (const auto it = sessions_.find(&session); it != sessions_.end()) {
    it->second.authentication = number;
  }
}

void ServerLoop::StopAuthenticating(Entry& entry) {
  const uint64_t number = std::exchange(entry.authentication, 0);
  if (number > 0) entry.listener->authentications->Drop(number);
}

// Listeners may share one.
absl::flat_hash_set<AuthenticationQueue*> ServerLoop::Authentications() const {
  absl::flat_hash_set<AuthenticationQueue*> queues;
  for (const auto& [listener, part] : parts_) {
    if (listener->authentications != nullptr) queues.insert(listener->authentications.get());
  }
  return queues;
}

void ServerLoop::Drain(MonoTime deadline, std::function<void()> done) {
  SetStep(DrainStep::kCalls);
  drain_.deadline = deadline;
  drain_.done = std::move(done);
  drain_.next_warning = SaturatingAdd(deadline, kWarnEvery);
  drain_.confirm_by = SaturatingAdd(loop_.clock().Now(), kGoAwayConfirm);
  pool_->Watch(bell_);
  const absl::Status why = absl::UnavailableError("the server is stopping");
  for (const auto& [listener, part] : parts_) part.incoming->Drop(CloseReason::kLocal, why);
  for (Session* session : Sessions()) {
    const auto it = sessions_.find(session);
    if (it == sessions_.end()) continue;
    StopAuthenticating(it->second);
    counts_->connections.Set(it->second.id, ConnectionState::kGoingAway, CloseReason::kLocal, why);
    session->GoAway(why);
  }
  OnDrainTimer();
  ContinueDrain();
}

std::vector<Session*> ServerLoop::Sessions() const {
  std::vector<Session*> sessions;
  sessions.reserve(sessions_.size());
  for (const auto& [session, entry] : sessions_) sessions.push_back(session);
  return sessions;
}

void ServerLoop::OnDrainTimer() {
  const MonoTime now = loop_.clock().Now();
  const bool late = now >= drain_.deadline;
  const bool cancel = late && !std::exchange(drain_.cancelled, late);
  for (Session* session : Sessions()) {
    // A handler that is cancelled may answer at once, and its answer's write may end the session.
    if (cancel) session->CancelInbound();
    if (!late) {
      CloseIfFinished(*session);
    } else if (sessions_.contains(session)) {
      session->CloseWhenWritten(CloseReason::kLocal,
                                absl::UnavailableError("the server has stopped"), kServerLastWords);
    }
  }
  if (now >= drain_.next_warning) {
    drain_.next_warning = now + kWarnEvery;
    if (sessions_.empty()) {
      size_t authenticating = 0;
      for (const AuthenticationQueue* queue : Authentications()) {
        authenticating += queue->counts().running;
      }
      log_.Warning(absl::StrCat("server: Stop waits for ", pool_->out(),
                                " handlers that have not answered, and ", authenticating,
                                " authenticators; the handlers were told that they are cancelled"));
    }
  }
  drain_timer_.StartAt(late                      ? drain_.next_warning
                       : now < drain_.confirm_by ? std::min(drain_.confirm_by, drain_.deadline)
                                                 : drain_.deadline);
}

void ServerLoop::ContinueDrain() {
  if (drain_.step != DrainStep::kCalls || !sessions_.empty() || pool_->out() > 0) return;
  SetStep(DrainStep::kAuthenticators);
  const auto running = std::make_shared<Gate>();
  for (AuthenticationQueue* queue : Authentications()) {
    running->Enter();
    queue->WhenIdle([running] { running->Leave(); });
  }
  running->WhenEmpty([this] { Resume(&ServerLoop::AwaitHandlers); });
}

bool ServerLoop::MayGo(DrainStep from, DrainStep to) {
  return static_cast<int>(to) == static_cast<int>(from) + 1;
}

void ServerLoop::SetStep(DrainStep to) {
  WEFT_DCHECK(MayGo(drain_.step, to));
  drain_.step = to;
}

// A handler that has answered may still be on its way out of its service.
void ServerLoop::AwaitHandlers() {
  loop_.AssertInLoop();
  SetStep(DrainStep::kHandlers);
  dispatcher_->WhenQuiet([this] { Resume(&ServerLoop::EndDrain); });
}

void ServerLoop::EndDrain() {
  loop_.AssertInLoop();
  SetStep(DrainStep::kDrained);
  drain_timer_.Stop();
  std::exchange(drain_.done, nullptr)();
}

void ServerLoop::Resume(void (ServerLoop::*next)()) {
  const std::shared_ptr<EventLoop> loop = io_.loop;  // this may be gone before Post returns
  loop->Post([this, next](TaskFate fate) {
    if (fate == TaskFate::kRun) (this->*next)();
  });
}

}  // namespace weft
