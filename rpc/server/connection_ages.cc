#include "weft/rpc/server/connection_ages.h"

#include <utility>

#include "weft/core/check.h"
#include "weft/core/table_room.h"

namespace weft::internal {
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
  // In the next turn: calls that came during the handshake are served first.
  io_.wheel->Insert(it->second.get(), io_.loop->clock().Now());
}

void ConnectionAges::SetState(Age& age, State to) {
  WEFT_DCHECK(MayGo(age.state, to));
  age.state = to;
}

void ConnectionAges::OnDue(Age& age) {
  io_.loop->AssertInLoop();
  Session& session = age.session;
  if (age.state == State::kAnnounced) {  // its grace is over
    session.CancelInbound();
    if (!sessions_.Contains(session)) return;  // the answer of a cancelled handler has ended it
    sessions_.Close(session, absl::Status(sessions_.why(session)));
  } else if (sessions_.state(session) == SessionTable::State::kOpening) {
    SetState(age, State::kDue);
  } else {
    Announce(age, TooOld(), options_.grace);
  }
}

void ConnectionAges::Leave(Session& session, const absl::Status& why, Nanos grace) {
  auto it = ages_.find(&session);
  if (it == ages_.end()) {
    if (!TryMakeRoom(ages_, ages_.size() + 1)) {
      session.Close(CloseReason::kLocal, why);
      return;
    }
    it = ages_.emplace(&session, std::make_unique<Age>(*this, session)).first;
  }
  Age& age = *it->second;
  if (age.state == State::kAnnounced) return;
  io_.wheel->Remove(&age);
  Announce(age, why, grace);
}

void ConnectionAges::Announce(Age& age, const absl::Status& why, Nanos grace) {
  Session& session = age.session;
  SetState(age, State::kAnnounced);
  // From here on answered calls are collected at once, not with the loop's next calls: the session
  // is to end as soon as its last call has.
  pool_.Watch(bell_);
  const MonoTime grace_end = SaturatingAdd(io_.loop->clock().Now(), grace);
  sessions_.SetLeaving(session, CloseReason::kLocal, why);
  session.GoAway(why);
  if (!ages_.contains(&session)) return;  // the session has ended, and `age` is gone
  io_.wheel->Insert(&age, grace_end);
  CloseIfFinished(session);  // a protocol without confirmations may be finished already
}

void ConnectionAges::CloseIfFinished(Session& session) {
  const auto it = ages_.find(&session);
  if (it == ages_.end() || it->second->state != State::kAnnounced) return;
  if (!sessions_.Finished(session, /*waited_for=*/false)) return;
  sessions_.CloseFinished(session, absl::Status(sessions_.why(session)));
}

void ConnectionAges::Remove(Session& session) {
  const auto it = ages_.find(&session);
  if (it == ages_.end()) return;
  io_.wheel->Remove(it->second.get());
  if (it->second->state == State::kAnnounced) pool_.Unwatch();
  ages_.erase(it);
}

}  // namespace weft::internal
