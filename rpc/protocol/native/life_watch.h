// Asks the peer of a native session for signs of life, and gives the session up if none come. The
// link records the times of the answers.
//
// A PING's number is its time of sending, counted from the first PING. So its answer alone tells
// the round-trip time, and cannot be taken for that of an earlier question.
//
// Threads  the session's loop
// Owns     the heartbeat (heartbeat.h), and the open questions
// Errors   a peer silent for too long: the session is closed as lost
// Ends     with the session's timer; after Stop nobody is told anything
#ifndef WEFT_RPC_PROTOCOL_NATIVE_LIFE_WATCH_H_
#define WEFT_RPC_PROTOCOL_NATIVE_LIFE_WATCH_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "weft/core/clock.h"
#include "weft/core/connection.h"
#include "weft/core/thread_contract.h"
#include "weft/core/timer.h"
#include "weft/rpc/protocol/native/heartbeat.h"
#include "weft/rpc/protocol/native/quiet_trim.h"
#include "weft/rpc/protocol/native/session_shared.h"

namespace weft::internal::native {

class LifeWatch {
 public:
  // `max_interval`: longest interval between questions, whatever was agreed; zero: as agreed.
  // `peer_asks`: the peer asks as often as agreed, so this side need not.
  LifeWatch(SessionShared& shared, Nanos max_interval, bool peer_asks)
      : shared_(shared), max_interval_(max_interval), heartbeat_(!peer_asks) {}

  // `agreed` zero: never ask.
  void Begin(Nanos agreed, int misses) WEFT_LOOP_ONLY;
  // The timer has fired: asks, or gives the peer up. The session may have ended when this returns.
  void Look() WEFT_LOOP_ONLY;
  // Input was read.
  void OnRead() WEFT_LOOP_ONLY {
    if (heartbeat_.OnRead()) shared_.host.OnSuspect(shared_.session, false);
  }

  // As Session::Probe.
  void Probe(std::function<void()> alive) WEFT_LOOP_ONLY;
  // An answer to a PING. Runs the callbacks that wait for it; they may end the session.
  void TakePong(uint64_t ping, std::string_view body) WEFT_LOOP_ONLY;
  void Stop() WEFT_LOOP_ONLY { questions_.reset(); }

 private:
  struct Question {
    uint64_t ping;
    std::function<void()> alive;
  };

  // The number of a PING to be sent now.
  uint64_t NextPing() WEFT_LOOP_ONLY;
  void SendPing(uint64_t ping) WEFT_LOOP_ONLY;
  void GiveUp(Nanos silent_for) WEFT_LOOP_ONLY;

  SessionShared& shared_;
  const Nanos max_interval_;

  Heartbeat heartbeat_ WEFT_LOOP_OWNED;
  uint64_t read_before_ WEFT_LOOP_OWNED = 0;  // bytes read at the last look
  MonoTime first_ping_ WEFT_LOOP_OWNED{};
  uint64_t last_ping_ WEFT_LOOP_OWNED = 0;  // number of the last PING; 0: none was sent
  // Ordered by number; null: nobody waits.
  std::unique_ptr<std::vector<Question>> questions_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_LIFE_WATCH_H_
