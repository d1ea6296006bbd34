// When a connection has been open for long enough, and how it ends then:
//
//   kOpen ─age ± 10 %─► kAnnounced (GOAWAY): its client sends new calls elsewhere, and confirms
//        ─► it has confirmed and its calls have ended, or the grace is over ─► closed
//
// Nothing is announced before the handshake is done, which has a limit of its own: until then it
// stays kDue.
//
// The jitter keeps connections that were made together, as after a restart, from ending together.
//
// Threads  loop-only
// Owns     nothing; its host removes it before the session goes
#ifndef WEFT_RPC_SERVER_CONNECTION_AGE_H_
#define WEFT_RPC_SERVER_CONNECTION_AGE_H_

#include <cstdint>

#include "weft/core/clock.h"
#include "weft/core/deadline_wheel.h"
#include "weft/core/random_bits.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/protocol/session.h"

namespace weft {

// Who keeps sessions that have an age.
class ConnectionAgeHost {
 public:
  // The age of `session` has come due. On the loop.
  virtual void OnAge(Session& session) = 0;

 protected:
  ~ConnectionAgeHost() = default;
};

class ConnectionAge final : public DeadlineEntry {
 public:
  enum class State : uint8_t { kOpen, kDue, kAnnounced };

  ConnectionAge(ConnectionAgeHost& host, Session& session) : host_(host), session_(session) {}
  void OnDeadline() override { host_.OnAge(session_); }

  // `age` or up to a tenth more or less.
  static Nanos WithJitter(Nanos age, uint64_t* random) {
    const double factor = 0.9 + 0.2 * NextRandomShare(random);
    return Nanos(static_cast<int64_t>(static_cast<double>(age.count()) * factor));
  }

  State state = State::kOpen;

 private:
  ConnectionAgeHost& host_;
  Session& session_;
};

}  // namespace weft

#endif  // WEFT_RPC_SERVER_CONNECTION_AGE_H_
