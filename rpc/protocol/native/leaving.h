// The going-away of both sides of a native session: how each comes to take no more of the other's
// calls.
//
//   this side:  Announce ─► its peer's confirmation, or a second ─► Name: the last call taken
//   the peer:   TakeGoAway ─► calls that it has not taken end, to be sent elsewhere
//
// A peer without a verdict, or one that broke the protocol, is told its last call at once. The host
// is told when no call is under way any more.
//
// Threads  the session's loop
// Owns     this side's steps (go_away_steps.h), and how far the peer's have come
// Ends     Stop, with its session
#ifndef WEFT_RPC_PROTOCOL_NATIVE_LEAVING_H_
#define WEFT_RPC_PROTOCOL_NATIVE_LEAVING_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/protocol/native/go_away_steps.h"
#include "weft/rpc/protocol/native/session_shared.h"

namespace weft::internal::native {

class CallEnder;
class HandshakePhase;
class InboundTable;

class Leaving {
 public:
  explicit Leaving(SessionShared& shared) : shared_(shared) {}

  // Asks the peer to send no more calls.
  void Announce(const absl::Status& why) WEFT_LOOP_ONLY;
  // Takes the second step now, if only the first was taken.
  void FinishAnnounced() WEFT_LOOP_ONLY;
  // Takes no more calls, and tells the peer the last one taken, unless that was done. `last`:
  // nothing follows this frame.
  void Name(const absl::Status& why, bool last) WEFT_LOOP_ONLY;
  void Stop() WEFT_LOOP_ONLY { steps_.Stop(); }
  // Calls with higher numbers are not taken.
  uint64_t last_taken() const WEFT_LOOP_ONLY { return steps_.last_taken(); }

  // ---- frames
  void TakeGoAway(const FrameHeader& header, std::string_view body) WEFT_LOOP_ONLY;
  void TakeAck() WEFT_LOOP_ONLY;

  // ---- the last calls
  // True if a side leaves, so that the ends of calls must be told.
  bool watched() const WEFT_LOOP_ONLY {
    return steps_.state() != GoAwaySteps::State::kTaking || peer_ == Peer::kNamed;
  }
  bool peer_named() const WEFT_LOOP_ONLY { return peer_ == Peer::kNamed; }
  // Tells the host if no call is under way.
  void TellIfIdle() WEFT_LOOP_ONLY;

 private:
  // kAnnounced: the peer has sent a GOAWAY. kNamed: also one with the last call it took.
  enum class Peer : uint8_t { kStays, kAnnounced, kNamed };

  SessionShared& shared_;

  [[no_unique_address]] GoAwaySteps steps_ WEFT_LOOP_OWNED;  // peer_ uses its padding
  Peer peer_ WEFT_LOOP_OWNED = Peer::kStays;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_LEAVING_H_
