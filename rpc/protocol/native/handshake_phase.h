// The beginning of a native session, up to the verdict on its peer.
//
//   dialer:    preface and Hello at once ─► the peer's Hello ─► verdict
//   acceptor:  the dialer's preface and Hello ─► its own ─► verdict
//   verdict:   known ─► the session is up, and what was held is served; else refused
//
// Frames may follow the peer's Hello at once. Until the verdict they are held and not looked at, up
// to HeldFrames::kMaxBytes; then no more is read. So nothing is said to a peer before it is known,
// and its calls keep their order.
//
// Threads  the session's loop; a verdict may come from any thread
// Owns     what a dialer says of itself until it is said, then what the peer has said until the
//          verdict; the frames that are held
// Errors   a wrong preface or Hello ends the session; a peer that is refused is told why
// Ends     Stop, after which a verdict is for nobody
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

namespace weft::native {

class FrameDemultiplexer;
class InboundTable;
class LifeWatch;
class ReplyReader;

class HandshakePhase {
 public:
  // Of a refused peer's calls so many are answered by themselves; GOAWAY says the same of all.
  static constexpr size_t kMaxRefusals = 1000;

  // `own`: what a dialer says of itself; null: the peer has dialled. `timer`: of the session, which
  // asks here what is to be done when it fires.
  HandshakePhase(SessionShared& shared, std::unique_ptr<const HelloFacts> own, Nanos limit);

  // The time for the handshake runs; a dialer speaks.
  void Start() LOOP_ONLY;
  // The timer has fired. False: the handshake is over, and it is not about that.
  bool OnTimer() LOOP_ONLY;
  void Stop() LOOP_ONLY;
  // Why the peer was refused, while what it still sends is read for nobody; null: it was not.
  const absl::Status* refused() const LOOP_ONLY { return refused_.get(); }

  // ---- what comes. Return the bytes used, 0: more are needed, or the session has ended
  // The preface is refused at its first wrong byte, so that another protocol's client is not kept
  // waiting.
  size_t TakePreface(const char* data, size_t size) LOOP_ONLY;
  // The Hello, and what comes behind it before the verdict: one frame.
  size_t TakeEarly(const char* data, size_t size, InputNeed* need) LOOP_ONLY;
  void TakeHello(std::string_view body) LOOP_ONLY;

  // ---- what goes out. Nothing goes before this side's preface and Hello
  // Whether the peer speaks the protocol, as far as is known.
  bool MaySpeak() const LOOP_ONLY {
    return dialer_ || !shared_.phase.is(SessionPhase::State::kOpening);
  }
  void SendHelloFirst() LOOP_ONLY {
    if (!hello_sent_) SendHello(HelloFacts());
  }

 private:
  // For whoever brings a verdict: null once nobody waits for it.
  using Verdicts = std::shared_ptr<HandshakePhase*>;

  void SendHello(const HelloFacts& own) LOOP_ONLY;
  void AskForVerdict() LOOP_ONLY;
  static void Judge(HandshakePhase* waits, absl::StatusOr<std::string> identity) LOOP_ONLY;
  void TakeVerdict(absl::StatusOr<std::string> identity) LOOP_ONLY;
  absl::Status Hold(std::string_view frame) LOOP_ONLY;
  void ServeHeld(const HeldFrames& held) LOOP_ONLY;
  void BoundReading() LOOP_ONLY;
  void Refuse(const absl::Status& why, const HeldFrames* held) LOOP_ONLY;

  // Fixed at construction.
  SessionShared& shared_;
  const bool dialer_;
  const Nanos limit_;

  // The loop's own.
  bool hello_sent_ LOOP_OWNED = false;
  bool hello_taken_ LOOP_OWNED = false;
  // A dialer's own until they are sent; then the peer's until the verdict.
  std::unique_ptr<const HelloFacts> facts_ LOOP_OWNED;
  Verdicts verdicts_ LOOP_OWNED;                 // while one is waited for
  std::unique_ptr<HeldFrames> held_ LOOP_OWNED;  // with the first one
  std::unique_ptr<const absl::Status> refused_ LOOP_OWNED;
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_HANDSHAKE_PHASE_H_
