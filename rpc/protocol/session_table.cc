#include "weft/rpc/protocol/session_table.h"

#include <utility>

#include "weft/core/check.h"
#include "weft/core/table_room.h"

namespace weft {

bool SessionTable::MakeRoom(size_t sessions) { return TryMakeRoom(entries_, sessions); }

Session& SessionTable::Adopt(std::unique_ptr<Session> session, uint64_t number,
                             std::shared_ptr<const void> behind) {
  Session& adopted = *session;
  list_.SetGauge(number, adopted.gauge());
  const bool is_new =
      entries_.emplace(&adopted, Entry{std::move(behind), std::move(session), number}).second;
  WEFT_DCHECK(is_new);
  (void)is_new;
  return adopted;
}

const SessionTable::Entry& SessionTable::At(const Session& session) const {
  const auto it = entries_.find(&session);
  WEFT_DCHECK(it != entries_.end());
  return it->second;
}

SessionTable::Entry& SessionTable::At(const Session& session) {
  return const_cast<Entry&>(std::as_const(*this).At(session));
}

void SessionTable::SetState(Entry& entry, State to) {
  WEFT_DCHECK(MayGo(entry.state, to));
  entry.state = to;
}

void SessionTable::SetUp(Session& session) {
  Entry& entry = At(session);
  if (entry.state == State::kLeaving) return;
  SetState(entry, State::kUp);
  list_.Set(entry.number, ConnectionState::kUp);
}

void SessionTable::SetSuspect(Session& session, bool suspect) {
  Entry& entry = At(session);
  if (entry.state == State::kLeaving) return;
  SetState(entry, suspect ? State::kSuspect : State::kUp);
  list_.Set(entry.number, suspect ? ConnectionState::kSuspect : ConnectionState::kUp);
}

bool SessionTable::SetLeaving(Session& session, CloseReason reason, const absl::Status& why) {
  Entry& entry = At(session);
  if (entry.state == State::kLeaving) return false;
  entry.confirmed = entry.state == State::kOpening || !session.confirms_going_away();
  SetState(entry, State::kLeaving);
  entry.since = loop_.clock().Now();
  entry.why = why;
  list_.Set(entry.number, ConnectionState::kGoingAway, reason, why);
  return true;
}

void SessionTable::SetConfirmed(Session& session) { At(session).confirmed = true; }

void SessionTable::Ended(Session& session, CloseReason reason, const absl::Status& why,
                         std::shared_ptr<const void> kept) {
  auto node = entries_.extract(&session);
  WEFT_DCHECK(!node.empty());  // a session ends once
  Entry& entry = node.mapped();
  list_.Set(entry.number, ConnectionState::kDown, reason, why);
  loop_.Post([kept = std::move(kept), behind = std::move(entry.behind),
              ended = std::move(entry.session)](TaskFate) mutable { ended.reset(); });
}

bool SessionTable::Contains(const Session& session) const { return entries_.contains(&session); }

std::vector<Session*> SessionTable::All() const {
  std::vector<Session*> all;
  all.reserve(entries_.size());
  for (const auto& [session, entry] : entries_) all.push_back(entry.session.get());
  return all;
}

std::vector<Session*> SessionTable::LeftBy(MonoTime since) const {
  std::vector<Session*> left;
  for (const auto& [session, entry] : entries_) {
    if (entry.state == State::kLeaving && entry.since <= since) left.push_back(entry.session.get());
  }
  return left;
}

std::vector<Session*> SessionTable::LookForIdle() {
  std::vector<Session*> idle;
  for (auto& [session, entry] : entries_) {
    if (entry.state == State::kOpening) continue;
    if (entry.idle.Look(session->gauge()->Volume())) idle.push_back(entry.session.get());
  }
  return idle;
}

bool SessionTable::Finished(const Session& session, bool waited_for) const {
  const Entry& entry = At(session);
  return (entry.confirmed || waited_for) && session.inbound_calls() == 0;
}

}  // namespace weft
