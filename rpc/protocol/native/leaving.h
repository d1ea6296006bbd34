// How the two sides of a native session come to take no more of each other's calls.
//
//   this side:  Announce ─► its peer's confirmation, or a second ─► Name: the last call taken
//   the peer:   TakeGoAway ─► calls that it has not taken end, to be sent elsewhere
//
// A peer of whom nothing is known, or that broke the protocol, is told its last call at once. The
// host is told when no call is under way any more.
//
// Threads  the session's loop
// Owns     the steps of this side (go_away_steps.h), how far the peer's have come
// Ends     Stop, with its session
#ifndef WEFT_RPC_PROTOCOL_NATIVE_LEAVING_H_
#define WEFT_RPC_PROTOCOL_NATIVE_LEAVING_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/protocol/native/go_away_steps.h"
#include "weft/rpc/protocol/native/session_shared.h"

namespace weft::native {

class CallEnder;
class HandshakePhase;
class InboundTable;

class Leaving {
 public:
  explicit Leaving(SessionShared& shared) : shared_(shared) {}

  // Asks the peer for no more calls.
  void Announce(const absl::Status& why) LOOP_ONLY;
  // What was announced, and not named yet, is named.
  void FinishAnnounced() LOOP_ONLY;
  // From here on no more calls are taken, and the peer hears which one was the last, unless it has.
  // `last`: nothing follows it.
  void Name(const absl::Status& why, bool last) LOOP_ONLY;
  void Stop() LOOP_ONLY { steps_.Stop(); }
  // Calls of higher numbers are not taken.
  uint64_t last_taken() const LOOP_ONLY { return steps_.last_taken(); }

  // ---- frames
  void TakeGoAway(const FrameHeader& header, std::string_view body) LOOP_ONLY;
  void TakeAck() LOOP_ONLY;

  // ---- the last calls
  // A side leaves, and whether calls are under way matters.
  bool watched() const LOOP_ONLY {
    return steps_.state() != GoAwaySteps::State::kTaking || peer_ == Peer::kNamed;
  }
  bool peer_named() const LOOP_ONLY { return peer_ == Peer::kNamed; }
  // Tells the host when none is under way.
  void TellIfIdle() LOOP_ONLY;

 private:
  // kAnnounced: it has sent a GOAWAY. kNamed: also one with the last call that it took.
  enum class Peer : uint8_t { kStays, kAnnounced, kNamed };

  SessionShared& shared_;

  GoAwaySteps steps_ LOOP_OWNED;
  Peer peer_ LOOP_OWNED = Peer::kStays;
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_LEAVING_H_
