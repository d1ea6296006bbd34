// The beginning of a native session, up to the verdict on its peer.
//
//   dialer:    preface and Hello at once ─► the peer's Hello ─► verdict
//   acceptor:  the dialer's preface and Hello ─► its own ─► verdict
//          or  the dialer's preface and Hello ─► verdict ─► its own, to a known peer
//   verdict:   known ─► the session is up, and held frames are served; else refused
//
// A peer refused before this side's Hello gets a Hello that says so and names nobody, then the
// reason. A dialer that gets such a Hello waits for the reason and reports it as its end.
//
// Frames may follow the peer's Hello at once. Until the verdict they are held unread, up to
// HeldFrames::kMaxBytes; then reading stops. So an unknown peer learns nothing, and its calls keep
// their order.
//
// Threads  the session's loop; a verdict may come from any thread
// Owns     a dialer's own facts until they are sent, then the peer's until the verdict; the held
//          frames
// Errors   a wrong preface or Hello ends the session; a peer that is refused is told why
// Ends     Stop: a later verdict is ignored
#ifndef WEFT_RPC_PROTOCOL_NATIVE_HANDSHAKE_PHASE_H_
#define WEFT_RPC_PROTOCOL_NATIVE_HANDSHAKE_PHASE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/core/clock.h"
#include "weft/core/connection.h"
#include "weft/core/thread_contract.h"
#include "weft/core/timer.h"
#include "weft/rpc/protocol/hello_facts.h"
#include "weft/rpc/protocol/native/held_frames.h"
#include "weft/rpc/protocol/native/session_shared.h"

namespace weft::internal::native {

class FrameDemultiplexer;
class InboundTable;
class LifeWatch;
class ReplyReader;

class HandshakePhase {
 public:
  // The most calls of a refused peer that get an answer of their own; the GOAWAY covers all.
  static constexpr size_t kMaxRefusals = 1000;

  struct Options {
    // A dialer's own facts; null: the peer has dialled.
    std::unique_ptr<const HelloFacts> own;
    // As in SessionConfig.
    bool hello_after_verdict = false;
    bool pair = false;
    // The time for the handshake; the session's timer ends it (OnTimer).
    Nanos limit{};
  };
  HandshakePhase(SessionShared& shared, Options options);

  // Starts the time for the handshake. A dialer sends its Hello.
  void Start() WEFT_LOOP_ONLY;
  // The timer has fired. False: the handshake is over; the timer means something else.
  bool OnTimer() WEFT_LOOP_ONLY;
  void Stop() WEFT_LOOP_ONLY;
  // The reason of a refusal, while the peer's remaining input is read and dropped; null: not
  // refused.
  const absl::Status* refused() const WEFT_LOOP_ONLY { return refused_.get(); }

  // ---- input. Return the bytes used; 0: more are needed, or the session has ended
  // The preface is refused at its first wrong byte, so that a client of another protocol does not
  // have to wait.
  size_t TakePreface(const char* data, size_t size) WEFT_LOOP_ONLY;
  // Takes one frame: the Hello, or a frame between it and the verdict.
  size_t TakeEarly(const char* data, size_t size, InputNeed* need) WEFT_LOOP_ONLY;
  void TakeHello(std::string_view body) WEFT_LOOP_ONLY;

  // As in Session.
  void SetMayPause(bool may) WEFT_LOOP_ONLY;

  // ---- output. Nothing goes before this side's preface and Hello
  // True if the peer speaks the protocol, as far as is known.
  bool MaySpeak() const WEFT_LOOP_ONLY {
    return dialer_ || !shared_.phase.is(SessionPhase::State::kOpening);
  }
  void SendHelloFirst() WEFT_LOOP_ONLY {
    if (!hello_sent_) SendRefusal();
  }

 private:
  // The way for a verdict to find this object; null once no verdict is awaited.
  using Verdicts = std::shared_ptr<HandshakePhase*>;

  // State needed only until the verdict, and freed then.
  struct UntilVerdict {
    Nanos limit;
    // A dialer's own facts until they are sent; then the peer's.
    std::unique_ptr<const HelloFacts> facts;
    Nanos heartbeat{};  // as agreed, with the peer's facts
    int heartbeat_misses = 0;
    Verdicts verdicts = nullptr;                 // set while a verdict is awaited
    std::unique_ptr<HeldFrames> held = nullptr;  // made for the first frame
  };

  void SendHello(const std::string& hello) WEFT_LOOP_ONLY;
  std::string MakeHello(const HelloFacts& own) WEFT_LOOP_ONLY;
  void SendRefusal() WEFT_LOOP_ONLY;
  void WatchLife(const UntilVerdict& agreed) WEFT_LOOP_ONLY;
  void AskForVerdict() WEFT_LOOP_ONLY;
  static void Judge(HandshakePhase* waits, absl::StatusOr<std::string> identity) WEFT_LOOP_ONLY;
  void TakeVerdict(absl::StatusOr<std::string> identity) WEFT_LOOP_ONLY;
  bool SendOwnHello(const HelloFacts& own) WEFT_LOOP_ONLY;
  void SetUp(ConnectedPeer who, const HeldFrames* held) WEFT_LOOP_ONLY;
  size_t TakeFrame(const FrameHeader& header, std::string_view frame) WEFT_LOOP_ONLY;
  void TakeRefusal(const FrameHeader& header, std::string_view body) WEFT_LOOP_ONLY;
  absl::Status Hold(std::string_view frame) WEFT_LOOP_ONLY;
  void ServeHeld(const HeldFrames& held) WEFT_LOOP_ONLY;
  void BoundReading() WEFT_LOOP_ONLY;
  void Refuse(const absl::Status& why, const HeldFrames* held) WEFT_LOOP_ONLY;

  // Fixed at construction.
  SessionShared& shared_;
  const bool dialer_;
  const bool hello_after_verdict_;  // never for a dialer
  const bool pair_;

  // The loop's own.
  bool hello_sent_ WEFT_LOOP_OWNED = false;
  bool hello_taken_ WEFT_LOOP_OWNED = false;
  bool may_pause_ WEFT_LOOP_OWNED;
  bool timed_ WEFT_LOOP_OWNED = false;                           // the timer measures the handshake
  bool refused_by_peer_ WEFT_LOOP_OWNED = false;                 // its reason is still to come
  std::unique_ptr<UntilVerdict> until_verdict_ WEFT_LOOP_OWNED;  // null after the verdict
  std::unique_ptr<const absl::Status> refused_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_HANDSHAKE_PHASE_H_
