// Ends each connection of one loop of a server when it has been open for long enough:
//
//   kOpen ──its age, ± 10 %──► kAnnounced
//   kOpen ──its age, in the handshake──► kDue ──it is up──► kAnnounced
//   kOpen, kDue ──Leave──► kAnnounced
//
// kAnnounced: GOAWAY was sent. The client sends new calls elsewhere, and confirms. The connection
// is closed when the client has confirmed and its calls have ended, or when the grace is over.
//
// Nothing is announced before the handshake is done, which has a limit of its own.
//
// The jitter keeps connections that were made together, as after a restart, from ending together.
//
// A member of ServerLoop.
//
// Threads  loop-only
// Owns     the age of each session, from Add to Remove; refers to the table of sessions and the
//          pool of their calls
// Ends     every session that was added was removed
#ifndef WEFT_RPC_SERVER_CONNECTION_AGES_H_
#define WEFT_RPC_SERVER_CONNECTION_AGES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/deadline_wheel.h"
#include "weft/core/loop_bell.h"
#include "weft/core/loop_group.h"
#include "weft/core/random_bits.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/protocol/session_table.h"

namespace weft::internal {

class ConnectionAges {
 public:
  enum class State : uint8_t { kOpen, kDue, kAnnounced };
  static constexpr bool MayGo(State from, State to) {
    return from != State::kAnnounced && to > from;
  }
  struct Options {
    Nanos age{};  // zero: no connection has one
    Nanos grace{};
  };

  // `bell`: the one of `pool`, rung when calls come back while a connection is kAnnounced.
  ConnectionAges(IoThread& io, const Options& options, SessionTable& sessions, CallPool& pool,
                 std::shared_ptr<LoopBell> bell);
  ~ConnectionAges();

  // Reserves memory for `sessions` in all. False: there is no memory for them.
  [[nodiscard]] bool MakeRoom(size_t sessions) WEFT_LOOP_ONLY;
  // Adds the session of a connection that was accepted at that time.
  void Add(Session& session, MonoTime accepted) WEFT_LOOP_ONLY;
  void OnUp(Session& session) WEFT_LOOP_ONLY;
  // Announces the end of a session now, whatever its age; `grace` in place of the options' one.
  void Leave(Session& session, const absl::Status& why, Nanos grace) WEFT_LOOP_ONLY;
  // Closes an announced session if it has confirmed and its calls have ended.
  void CloseIfFinished(Session& session) WEFT_LOOP_ONLY;
  void Remove(Session& session) WEFT_LOOP_ONLY;

  // `age` or up to a tenth more or less.
  static Nanos WithJitter(Nanos age, uint64_t* random) {
    const double factor = 0.9 + 0.2 * NextRandomShare(random);
    return Nanos(static_cast<int64_t>(static_cast<double>(age.count()) * factor));
  }

 private:
  struct Age final : DeadlineEntry {
    Age(ConnectionAges& a, Session& s) : ages(a), session(s) {}
    void OnDeadline() override { ages.OnDue(*this); }

    ConnectionAges& ages;
    Session& session;
    State state = State::kOpen;
  };

  // The session's age has come, or its grace is over. On the loop.
  void OnDue(Age& age);
  void Announce(Age& age, const absl::Status& why, Nanos grace) WEFT_LOOP_ONLY;
  static void SetState(Age& age, State to);

  IoThread& io_;
  const Options options_;
  SessionTable& sessions_;
  CallPool& pool_;
  const std::shared_ptr<LoopBell> bell_;
  std::unordered_map<const Session*, std::unique_ptr<Age>> ages_ WEFT_LOOP_OWNED;
  uint64_t random_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_CONNECTION_AGES_H_
