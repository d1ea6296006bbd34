// When each connection of one loop of a server has been open for long enough, and how it ends then:
//
//   kOpen ──its age, ± 10 %──► kAnnounced
//   kOpen ──its age, in the handshake──► kDue ──it is up──► kAnnounced
//
// kAnnounced: GOAWAY was sent. Its client sends new calls elsewhere, and confirms; the connection
// is closed when it has, and its calls have ended; or when the grace is over.
//
// Nothing is announced before the handshake is done, which has a limit of its own.
//
// The jitter keeps connections that were made together, as after a restart, from ending together.
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

#include "weft/core/clock.h"
#include "weft/core/deadline_wheel.h"
#include "weft/core/loop_bell.h"
#include "weft/core/loop_group.h"
#include "weft/core/random_bits.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/protocol/session_table.h"

namespace weft {

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

  // For `sessions` altogether. False: there is no memory for them.
  [[nodiscard]] bool MakeRoom(size_t sessions) LOOP_ONLY;
  // A session of a connection that was accepted then.
  void Add(Session& session, MonoTime accepted) LOOP_ONLY;
  void OnUp(Session& session) LOOP_ONLY;
  // Of one that was announced: closes it if it has confirmed and its calls have ended.
  void CloseIfFinished(Session& session) LOOP_ONLY;
  void Remove(Session& session) LOOP_ONLY;

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

  // Its age has come, or its grace is over. On the loop.
  void OnDue(Age& age);
  void Announce(Age& age) LOOP_ONLY;
  static void SetState(Age& age, State to);

  IoThread& io_;
  const Options options_;
  SessionTable& sessions_;
  CallPool& pool_;
  const std::shared_ptr<LoopBell> bell_;
  std::unordered_map<const Session*, std::unique_ptr<Age>> ages_ LOOP_OWNED;
  uint64_t random_ LOOP_OWNED;
};

}  // namespace weft

#endif  // WEFT_RPC_SERVER_CONNECTION_AGES_H_
