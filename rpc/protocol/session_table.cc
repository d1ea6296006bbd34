#include "weft/rpc/protocol/session_table.h"

#include <algorithm>
#include <utility>

#include "weft/core/check.h"
#include "weft/core/table_room.h"

namespace weft::internal {

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
  // kLeaving is final. The handshake of a session may be done after its end was asked for.
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
  // Nothing to wait for if the peer never saw the session up, or its protocol does not confirm.
  entry.confirmed = entry.state == State::kOpening || !session.confirms_going_away();
  SetState(entry, State::kLeaving);
  entry.leaving.reset(new Leaving{loop_.clock().Now(), why});
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
  // The session goes first, then what it refers to (`behind`, `kept`): captures are destroyed after
  // the explicit reset.
  loop_.Post([kept = std::move(kept), behind = std::move(entry.behind),
              ended = std::move(entry.session)](TaskFate) mutable { ended.reset(); });
}

bool SessionTable::Contains(const Session& session) const { return entries_.contains(&session); }

Session* SessionTable::Find(uint64_t number) const {
  for (const auto& [session, entry] : entries_) {
    if (entry.number == number) return entry.session.get();
  }
  return nullptr;
}

std::vector<Session*> SessionTable::All() const {
  std::vector<Session*> all;
  all.reserve(entries_.size());
  for (const auto& [session, entry] : entries_) all.push_back(entry.session.get());
  // By number, not as the hash table has them: a run must be repeatable, and the oldest is told
  // first.
  SortByNumber(all);
  return all;
}

std::vector<Session*> SessionTable::LeftBy(MonoTime since) const {
  std::vector<Session*> left;
  for (const auto& [session, entry] : entries_) {
    if (entry.leaving != nullptr && entry.leaving->since <= since)
      left.push_back(entry.session.get());
  }
  SortByNumber(left);
  return left;
}

std::vector<Session*> SessionTable::LookForIdle() {
  std::vector<Session*> idle;
  for (auto& [session, entry] : entries_) {
    // A session that opens has a deadline of its own.
    if (entry.state == State::kOpening) continue;
    if (entry.idle.Look(session->gauge()->Volume())) idle.push_back(entry.session.get());
  }
  SortByNumber(idle);
  return idle;
}

void SessionTable::SortByNumber(std::vector<Session*>& sessions) const {
  std::sort(sessions.begin(), sessions.end(), [this](const Session* a, const Session* b) {
    loop_.AssertInLoop();
    return number(*a) < number(*b);
  });
}

bool SessionTable::Finished(const Session& session, bool waited_for) const {
  const Entry& entry = At(session);
  if (!entry.confirmed && !waited_for) return false;
  // Both directions: this side's calls on the session may go on after the peer's have ended.
  return session.inbound_calls() == 0 && entry.session->gauge()->Volume().calls == 0;
}

void SessionTable::CloseFinished(Session& session, const absl::Status& why) {
  Entry& entry = At(session);
  // Nothing to ask: the peer answers no PING, or has not confirmed that it sends no more.
  if (!entry.answers || !entry.confirmed) {
    Close(session, why);
  } else if (!std::exchange(entry.asked, true)) {
    AskAndClose(session, why);
  }
}

void SessionTable::AskAndClose(Session& session, const absl::Status& why) {
  // A question overtakes messages that go out in pieces: its answer then says nothing of them.
  const bool behind_all = session.gauge()->Volume().queued == 0;
  session.Probe([this, &session, why, behind_all] {  // never when it has ended
    loop_.AssertInLoop();
    if (behind_all) {
      Close(session, why);
    } else {
      AskAndClose(session, why);
    }
  });
}

}  // namespace weft::internal
