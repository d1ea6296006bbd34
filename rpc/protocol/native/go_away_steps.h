// The two steps in which a side stops taking its peer's calls (native_protocol.md, 8):
//
//   kTaking ──► kAnnounced ──► kNamed ──► kConfirmed
//      └───────────────────────►┘ a fault, or a peer that is not known
//
// kAnnounced: the peer was asked to start no more calls; calls that still come are taken. kNamed:
// the peer was told the last call taken; calls with higher numbers are refused. kConfirmed: the
// peer has confirmed everything and sends nothing more.
//
// The first step ends when the peer confirms it, after kAckWait, or with the session.
//
// Threads  loop-only
// Owns     from Announce on the reason told to the peer, and the timer of the first step
// Ends     with its session
#ifndef WEFT_RPC_PROTOCOL_NATIVE_GO_AWAY_STEPS_H_
#define WEFT_RPC_PROTOCOL_NATIVE_GO_AWAY_STEPS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/event_loop.h"
#include "weft/core/thread_contract.h"
#include "weft/core/timer.h"

namespace weft::internal::native {

class GoAwaySteps {
 public:
  // How long the first step waits for the peer's confirmation.
  static constexpr Nanos kAckWait = std::chrono::seconds(1);

  enum class State : uint8_t { kTaking, kAnnounced, kNamed, kConfirmed };

  State state() const WEFT_LOOP_ONLY { return state_; }
  // Calls with higher numbers are not taken.
  uint64_t last_taken() const WEFT_LOOP_ONLY { return last_taken_; }
  // The announced reason.
  const absl::Status& why() const WEFT_LOOP_ONLY { return announced_->why; }

  // In kTaking: the caller sends a GOAWAY without a call's number. `over` runs at the end of the
  // first step, unless Name was called before.
  void Announce(EventLoop& loop, const absl::Status& why,
                std::function<void()> over) WEFT_LOOP_ONLY {
    announced_ = std::make_unique<Announced>(loop, why, std::move(over));
    announced_->wait.StartAfter(kAckWait);
    state_ = State::kAnnounced;
    ++unconfirmed_;
  }
  // The caller sends a GOAWAY with the last call's number. False: that was done before.
  bool Name(uint64_t last) WEFT_LOOP_ONLY {
    if (state_ >= State::kNamed) return false;
    Stop();
    state_ = State::kNamed;
    last_taken_ = last;
    ++unconfirmed_;
    return true;
  }
  // The peer has confirmed a GOAWAY. True: it was the last one.
  bool OnAck() WEFT_LOOP_ONLY {
    if (unconfirmed_ == 0) return false;  // nothing to confirm
    --unconfirmed_;
    if (state_ == State::kAnnounced) {
      announced_->over();
      return false;
    }
    if (unconfirmed_ == 0) state_ = State::kConfirmed;
    return unconfirmed_ == 0;
  }
  void Stop() WEFT_LOOP_ONLY {
    if (announced_ != nullptr) announced_->wait.Stop();
  }

 private:
  struct Announced {
    Announced(EventLoop& loop, const absl::Status& w, std::function<void()> o)
        : why(w), over(std::move(o)), wait(loop, over) {}
    const absl::Status why;
    const std::function<void()> over;
    Timer wait;
  };

  uint64_t last_taken_ WEFT_LOOP_OWNED = UINT64_MAX;
  std::unique_ptr<Announced> announced_ WEFT_LOOP_OWNED;
  State state_ WEFT_LOOP_OWNED = State::kTaking;
  uint8_t unconfirmed_ WEFT_LOOP_OWNED = 0;  // GOAWAYs sent and not confirmed: at most two
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_GO_AWAY_STEPS_H_
