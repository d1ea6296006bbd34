// The sessions of one loop of a server or channel: each from its construction to the turn in which
// it is destroyed.
//
//   kOpening ──SetUp──► kUp
//   kUp ──SetSuspect──► kSuspect ──SetSuspect──► kUp
//   kOpening, kUp, kSuspect ──SetLeaving──► kLeaving
//
// Adopt adds a session in kOpening; Ended removes it in any state. kLeaving is final: one side has
// asked the other for no more calls, and later events do not change that.
//
// The table knows the sessions' states; its owner, their SessionHost, makes the decisions. Any call
// to a session may end it and remove it from here, so loops over several sessions must ask Contains
// after each call.
//
// Threads  loop-only
// Owns     its sessions, and the objects adopted with them; refers to the list of connections
// Ends     its owner has ended all sessions; sessions left when the loop has closed are destroyed
//          with it
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

namespace weft::internal {

class SessionTable {
 public:
  enum class State : uint8_t { kOpening, kUp, kSuspect, kLeaving };
  static constexpr bool MayGo(State from, State to) {
    if (to == State::kLeaving) return from != State::kLeaving;
    return (from == State::kOpening && to == State::kUp) ||
           (from == State::kUp && to == State::kSuspect) ||
           (from == State::kSuspect && to == State::kUp);
  }

  // `list` outlives this. `last_words`: how long a finished session's end may wait for its output.
  SessionTable(EventLoop& loop, ConnectionList& list, Nanos last_words = kLastWords)
      : loop_(loop), list_(list), last_words_(last_words) {}
  SessionTable(const SessionTable&) = delete;
  SessionTable& operator=(const SessionTable&) = delete;

  // Makes room for `sessions` in total. False: no memory.
  [[nodiscard]] bool MakeRoom(size_t sessions) WEFT_LOOP_ONLY;
  // `number`: the connection's number in the list, which gets the session's gauge. `behind`: an
  // object that the session refers to, destroyed after it.
  Session& Adopt(std::unique_ptr<Session> session, uint64_t number,
                 std::shared_ptr<const void> behind = nullptr) WEFT_LOOP_ONLY;

  // Each change is told to the list. A session in kLeaving stays there.
  void SetUp(Session& session) WEFT_LOOP_ONLY;
  void SetSuspect(Session& session, bool suspect) WEFT_LOOP_ONLY;
  // False: the session was leaving already, for another reason.
  bool SetLeaving(Session& session, CloseReason reason, const absl::Status& why) WEFT_LOOP_ONLY;
  // The peer has confirmed this side's GoAway.
  void SetConfirmed(Session& session) WEFT_LOOP_ONLY;
  // Removes an ended session from the table and the list. It is destroyed in a later turn, since
  // its callbacks may be on the stack; `kept` is kept until then.
  void Ended(Session& session, CloseReason reason, const absl::Status& why,
             std::shared_ptr<const void> kept = nullptr) WEFT_LOOP_ONLY;

  size_t size() const WEFT_LOOP_ONLY { return entries_.size(); }
  bool Contains(const Session& session) const WEFT_LOOP_ONLY;
  // The session with that number; null: none. Searches linearly.
  Session* Find(uint64_t number) const WEFT_LOOP_ONLY;
  State state(const Session& session) const WEFT_LOOP_ONLY { return At(session).state; }
  // The number in the list; never used again.
  uint64_t number(const Session& session) const WEFT_LOOP_ONLY { return At(session).number; }
  // For a session in kLeaving: the reason, and the time.
  const absl::Status& why(const Session& session) const WEFT_LOOP_ONLY {
    return At(session).leaving->why;
  }
  MonoTime since(const Session& session) const WEFT_LOOP_ONLY { return At(session).leaving->since; }

  // The next three are ordered by number: results must not depend on addresses.
  std::vector<Session*> All() const WEFT_LOOP_ONLY;
  // Sessions in kLeaving since `since` or earlier.
  std::vector<Session*> LeftBy(MonoTime since) const WEFT_LOOP_ONLY;
  // Looks once with each IdleWatch; returns the sessions without calls for long enough, up or
  // leaving.
  std::vector<Session*> LookForIdle() WEFT_LOOP_ONLY;
  // True if a session that this side asked to leave may be closed: all calls have ended, and the
  // peer has confirmed or was `waited_for` long enough. Closing before the peer's last input is
  // read would reset the connection and destroy our last words.
  bool Finished(const Session& session, bool waited_for) const WEFT_LOOP_ONLY;
  // The peer answers Session::Probe, so CloseFinished asks it before closing.
  void SetAnswers(Session& session) WEFT_LOOP_ONLY { At(session).answers = true; }
  // Ends a Finished session, after a last question if the peer answers those. The peer's answer
  // proves that it has read everything before it, so a peer that reads late loses nothing of a
  // long reply. May be called several times.
  void CloseFinished(Session& session, const absl::Status& why) WEFT_LOOP_ONLY;
  // Ends the session when its output has left.
  void Close(Session& session, const absl::Status& why) WEFT_LOOP_ONLY {
    session.CloseWhenWritten(CloseReason::kLocal, why, last_words_);
  }

 private:
  // Probes until an answer stands behind all output, then closes.
  void AskAndClose(Session& session, const absl::Status& why) WEFT_LOOP_ONLY;

  struct Leaving {
    MonoTime since;
    absl::Status why;
  };
  struct Entry {
    std::shared_ptr<const void> behind;
    std::unique_ptr<Session> session;
    uint64_t number;
    std::unique_ptr<const Leaving> leaving = nullptr;  // set in kLeaving
    [[no_unique_address]] IdleWatch idle = {};         // the members below use its padding
    State state = State::kOpening;
    bool confirmed = false;  // or nothing to wait for
    bool answers = false;
    bool asked = false;
  };

  const Entry& At(const Session& session) const WEFT_LOOP_ONLY;
  Entry& At(const Session& session) WEFT_LOOP_ONLY;
  static void SetState(Entry& entry, State to);
  void SortByNumber(std::vector<Session*>& sessions) const WEFT_LOOP_ONLY;

  EventLoop& loop_;
  ConnectionList& list_;
  const Nanos last_words_;
  // A map of the standard library: a failed growth leaves it unchanged.
  std::unordered_map<const Session*, Entry> entries_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_PROTOCOL_SESSION_TABLE_H_
