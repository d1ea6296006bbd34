#include "weft/rpc/server/connection_ages.h"

#include <utility>

#include "weft/core/check.h"
#include "weft/core/table_room.h"

namespace weft {
namespace {

absl::Status TooOld() {
  return absl::UnavailableError("the connection has reached its max_connection_age");
}

}  // namespace

ConnectionAges::ConnectionAges(IoThread& io, const Options& options, SessionTable& sessions,
                               CallPool& pool, std::shared_ptr<LoopBell> bell)
    : io_(io),
      options_(options),
      sessions_(sessions),
      pool_(pool),
      bell_(std::move(bell)),
      random_(RandomSeed()) {}

ConnectionAges::~ConnectionAges() {
  io_.loop->AssertInLoop();
  WEFT_DCHECK(ages_.empty());
}

bool ConnectionAges::MakeRoom(size_t sessions) {
  return options_.age <= Nanos::zero() || TryMakeRoom(ages_, sessions);
}

void ConnectionAges::Add(Session& session, MonoTime accepted) {
  if (options_.age <= Nanos::zero()) return;
  Age& age = *(ages_[&session] = std::make_unique<Age>(*this, session));
  const MonoTime until = SaturatingAdd(accepted, WithJitter(options_.age, &random_));
  if (until != kNever) io_.wheel->Insert(&age, until);
}

void ConnectionAges::OnUp(Session& session) {
  const auto it = ages_.find(&session);
  if (it == ages_.end() || it->second->state != State::kDue) return;
  // In the next turn: what came during the handshake is served first.
  io_.wheel->Insert(it->second.get(), io_.loop->clock().Now());
}

void ConnectionAges::SetState(Age& age, State to) {
  WEFT_DCHECK(MayGo(age.state, to));
  age.state = to;
}

void ConnectionAges::OnDue(Age& age) {
  io_.loop->AssertInLoop();
  Session& session = age.session;
  if (age.state == State::kAnnounced) {  // and now its grace is over
    session.CancelInbound();
    sessions_.Close(session, TooOld());
  } else if (sessions_.state(session) == SessionTable::State::kOpening) {
    SetState(age, State::kDue);
  } else {
    Announce(age);
  }
}

void ConnectionAges::Announce(Age& age) {
  Session& session = age.session;
  SetState(age, State::kAnnounced);
  pool_.Watch(bell_);
  const MonoTime grace_end = SaturatingAdd(io_.loop->clock().Now(), options_.grace);
  sessions_.SetLeaving(session, CloseReason::kLocal, TooOld());
  session.GoAway(TooOld());
  if (!ages_.contains(&session)) return;  // it has ended, and its age with it
  io_.wheel->Insert(&age, grace_end);
  CloseIfFinished(session);  // one that confirms nothing may be
}

void ConnectionAges::CloseIfFinished(Session& session) {
  const auto it = ages_.find(&session);
  if (it == ages_.end() || it->second->state != State::kAnnounced) return;
  if (sessions_.Finished(session, /*waited_for=*/false)) sessions_.Close(session, TooOld());
}

void ConnectionAges::Remove(Session& session) {
  const auto it = ages_.find(&session);
  if (it == ages_.end()) return;
  io_.wheel->Remove(it->second.get());
  if (it->second->state == State::kAnnounced) pool_.Unwatch();
  ages_.erase(it);
}

}  // namespace weft
