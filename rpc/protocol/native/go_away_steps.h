// How a side stops taking its peer's calls, in the two steps of native_protocol.md, 8:
//
//   kTaking ──► kAnnounced ──► kNamed ──► kConfirmed
//      └───────────────────────►┘ a fault, or a peer that is not known
//
// kAnnounced: the peer is asked to start no more calls; those that come are taken. kNamed: it has
// been told which call was the last one taken, and none of a higher number is taken. kConfirmed: it
// has confirmed everything that it was told, and sends nothing more.
//
// The first step ends when the peer has confirmed it, when kAckWait is over, or when its session
// ends.
//
// Threads  loop-only
// Owns     from Announce on the reason that the peer is told, and the timer of the first step
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

namespace weft::native {

class GoAwaySteps {
 public:
  // How long the first step waits for the peer's confirmation.
  static constexpr Nanos kAckWait = std::chrono::seconds(1);

  enum class State : uint8_t { kTaking, kAnnounced, kNamed, kConfirmed };

  State state() const LOOP_ONLY { return state_; }
  // Calls of higher numbers are not taken.
  uint64_t last_taken() const LOOP_ONLY { return last_taken_; }
  // What was announced.
  const absl::Status& why() const LOOP_ONLY { return announced_->why; }

  // kTaking: a GOAWAY without a call's number is sent. `over` runs when the first step is, and Name
  // has not been called.
  void Announce(EventLoop& loop, const absl::Status& why, std::function<void()> over) LOOP_ONLY {
    announced_ = std::make_unique<Announced>(loop, why, std::move(over));
    announced_->wait.StartAfter(kAckWait);
    state_ = State::kAnnounced;
    ++unconfirmed_;
  }
  // One with the number of the last call is to be sent. False: it was, before.
  bool Name(uint64_t last) LOOP_ONLY {
    if (state_ >= State::kNamed) return false;
    Stop();
    state_ = State::kNamed;
    last_taken_ = last;
    ++unconfirmed_;
    return true;
  }
  // The peer has confirmed one. True: it was the last.
  bool OnAck() LOOP_ONLY {
    if (unconfirmed_ == 0) return false;  // a confirmation of nothing
    --unconfirmed_;
    if (state_ == State::kAnnounced) {
      announced_->over();
      return false;
    }
    if (unconfirmed_ == 0) state_ = State::kConfirmed;
    return unconfirmed_ == 0;
  }
  void Stop() LOOP_ONLY {
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

  uint64_t last_taken_ LOOP_OWNED = UINT64_MAX;
  std::unique_ptr<Announced> announced_ LOOP_OWNED;
  State state_ LOOP_OWNED = State::kTaking;
  uint8_t unconfirmed_ LOOP_OWNED = 0;  // GOAWAYs: two at most
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_GO_AWAY_STEPS_H_
