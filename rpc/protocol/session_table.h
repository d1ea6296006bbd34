// The sessions of one loop, of a server or of one channel: each from its construction to the turn
// in which it is destroyed.
//
//   kOpening ──SetUp──► kUp
//   kUp ──SetSuspect──► kSuspect ──SetSuspect──► kUp
//   kOpening, kUp, kSuspect ──SetLeaving──► kLeaving
//
// Adopt puts a session in as kOpening, Ended takes it out in any state. kLeaving is for good: one
// side has asked the other for no more calls, and what is still heard of the connection changes
// nothing about that.
//
// The table says what the sessions are; its owner, their SessionHost, decides what becomes of them.
// Any call of a session may end it, and take it out of here: whoever goes through several of them
// asks Contains again after each.
//
// Threads  loop-only
// Owns     its sessions, and what was adopted with each; refers to the list of connections
// Ends     its owner has ended them all; those that are left when their loop has closed go with it
#ifndef WEFT_RPC_PROTOCOL_SESSION_TABLE_H_
#define WEFT_RPC_PROTOCOL_SESSION_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/event_loop.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/protocol/close_reason.h"
#include "weft/rpc/protocol/connection_list.h"
#include "weft/rpc/protocol/idle_watch.h"
#include "weft/rpc/protocol/session.h"

namespace weft {

class SessionTable {
 public:
  enum class State : uint8_t { kOpening, kUp, kSuspect, kLeaving };
  static constexpr bool MayGo(State from, State to) {
    if (to == State::kLeaving) return from != State::kLeaving;
    return (from == State::kOpening && to == State::kUp) ||
           (from == State::kUp && to == State::kSuspect) ||
           (from == State::kSuspect && to == State::kUp);
  }

  // `list` outlives this. `last_words`: how long the end of a finished session may wait for its
  // output.
  SessionTable(EventLoop& loop, ConnectionList& list, Nanos last_words = kLastWords)
      : loop_(loop), list_(list), last_words_(last_words) {}
  SessionTable(const SessionTable&) = delete;
  SessionTable& operator=(const SessionTable&) = delete;

  // For `sessions` altogether. False: there is no memory for them.
  [[nodiscard]] bool MakeRoom(size_t sessions) LOOP_ONLY;
  // `number`: that of its connection in the list, which has the session's gauge from now on.
  // `behind`: what it refers to, destroyed after it.
  Session& Adopt(std::unique_ptr<Session> session, uint64_t number,
                 std::shared_ptr<const void> behind = nullptr) LOOP_ONLY;

  // The list is told of each of these. One that is kLeaving stays so.
  void SetUp(Session& session) LOOP_ONLY;
  void SetSuspect(Session& session, bool suspect) LOOP_ONLY;
  // False: it was before, for another reason.
  bool SetLeaving(Session& session, CloseReason reason, const absl::Status& why) LOOP_ONLY;
  // The peer has confirmed our GoAway.
  void SetConfirmed(Session& session) LOOP_ONLY;
  // It has ended: out of the table and of the list. Destroyed in a later turn, since its callbacks
  // may be on the stack; `kept` stays until then.
  void Ended(Session& session, CloseReason reason, const absl::Status& why,
             std::shared_ptr<const void> kept = nullptr) LOOP_ONLY;

  size_t size() const LOOP_ONLY { return entries_.size(); }
  bool Contains(const Session& session) const LOOP_ONLY;
  State state(const Session& session) const LOOP_ONLY { return At(session).state; }
  // In the list; never used again.
  uint64_t number(const Session& session) const LOOP_ONLY { return At(session).number; }
  // Of one that is kLeaving: why, and since when.
  const absl::Status& why(const Session& session) const LOOP_ONLY { return At(session).why; }
  MonoTime since(const Session& session) const LOOP_ONLY { return At(session).since; }

  std::vector<Session*> All() const LOOP_ONLY;
  // Those that have been kLeaving since then, or longer.
  std::vector<Session*> LeftBy(MonoTime since) const LOOP_ONLY;
  // One more look of their IdleWatches: those that have had no calls for long enough, up or
  // leaving.
  std::vector<Session*> LookForIdle() LOOP_ONLY;
  // One that is kLeaving because this side wants it so may be closed: the peer's calls have ended,
  // and it has confirmed, unless that is `waited_for` long enough. What a peer sent before it heard
  // of the end is read and served; closing earlier would reset the connection, and take our last
  // words with it.
  bool Finished(const Session& session, bool waited_for) const LOOP_ONLY;
  // Ends it when its output has left.
  void Close(Session& session, const absl::Status& why) LOOP_ONLY {
    session.CloseWhenWritten(CloseReason::kLocal, why, last_words_);
  }

 private:
  struct Entry {
    std::shared_ptr<const void> behind;
    std::unique_ptr<Session> session;
    uint64_t number;
    IdleWatch idle = {};
    MonoTime since = kNever;
    absl::Status why = absl::OkStatus();
    State state = State::kOpening;
    bool confirmed = false;  // or there is nothing to wait for
  };

  const Entry& At(const Session& session) const LOOP_ONLY;
  Entry& At(const Session& session) LOOP_ONLY;
  static void SetState(Entry& entry, State to);

  EventLoop& loop_;
  ConnectionList& list_;
  const Nanos last_words_;
  // A map of the standard library: one that cannot grow stays as it was.
  std::unordered_map<const Session*, Entry> entries_ LOOP_OWNED;
};

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_SESSION_TABLE_H_
