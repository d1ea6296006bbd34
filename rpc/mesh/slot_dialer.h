// Dials for one slot of a pair: waits out a pause, asks the host for the dial's facts, connects,
// and hands the connection to the server's part on its loop. Pair makes one for each slot and keeps
// it to the end.
//
//   kResting, kPausing ──DialAfter──► kPausing
//   kPausing ──the pause is over──► kConnecting ──► kResting
//   kPausing ──there is nothing to dial──► kResting
//   kResting, kPausing, kConnecting ──Close──► kClosed
//
// DialAfter does nothing during kConnecting: the end of that dial asks the host again.
//
// Threads  any: DialAfter, Abort, Close. SlotDialerHost: the dialer's loop
// Owns     its timer and its connector, both only while there is something to do or to remember;
//          the transport until it is handed over
// Errors   Dialer's errors go to the host
// Ends     Close, which is posted: the host may still be called until it has run
#ifndef WEFT_RPC_MESH_SLOT_DIALER_H_
#define WEFT_RPC_MESH_SLOT_DIALER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/core/clock.h"
#include "weft/core/socket_address.h"
#include "weft/core/thread_contract.h"
#include "weft/core/timer.h"
#include "weft/rpc/client/dialer.h"
#include "weft/rpc/mesh/mesh_loops.h"
#include "weft/rpc/protocol/hello_facts.h"
#include "weft/rpc/protocol/protocol.h"

namespace weft::internal {

// The facts that a dial needs.
struct SlotDial {
  HostPort address;
  std::string text;  // the address as the member's entry writes it
  HelloFacts own;
};

class SlotDialerHost {
 public:
  // A pause is over; fills in `dial`. False: there is nothing to dial.
  virtual bool BeginDial(size_t slot, SlotDial* dial) WEFT_LOOP_ONLY = 0;
  // The dial has become this session. The session begins after this returns.
  virtual void OnDialled(size_t slot, const SessionRef& session) WEFT_LOOP_ONLY = 0;
  virtual void OnDialFailed(size_t slot, const absl::Status& why) WEFT_LOOP_ONLY = 0;

 protected:
  ~SlotDialerHost() = default;
};

struct SlotDialerOptions {
  DialerOptions dialer;
  Protocol protocol;
  // For connecting and both handshakes together.
  Nanos limit{};
};

class SlotDialer : public std::enable_shared_from_this<SlotDialer> {
 public:
  enum class State : uint8_t { kResting, kPausing, kConnecting, kClosed };
  static constexpr bool MayGo(State from, State to) {
    switch (from) {
      case State::kResting:
        return to == State::kPausing || to == State::kClosed;
      case State::kPausing:
        return true;
      case State::kConnecting:
        return to == State::kResting || to == State::kClosed;
      case State::kClosed:
        return false;
    }
    return false;
  }

  // Dials on loop number `loop`. `keeper` keeps `host` alive: the host is called only while
  // `keeper` can be locked.
  SlotDialer(std::shared_ptr<MeshLoops> loops, size_t loop,
             std::shared_ptr<const SlotDialerOptions> options, SlotDialerHost& host,
             std::weak_ptr<const void> keeper, size_t slot);
  ~SlotDialer();

  // Dials after `pause`; replaces a running pause.
  WEFT_ANY_THREAD void DialAfter(Nanos pause);
  // Gives up a dial that has not connected yet; the host hears of it.
  WEFT_ANY_THREAD void Abort(absl::Status why);
  WEFT_ANY_THREAD void Close();

 private:
  // Objects bound to the loop: made and destroyed on it.
  struct OnLoop {
    OnLoop(EventLoop& loop, SlotDialer* self);
    Dialer dialer;
    Timer pause;
  };

  void SetState(State to) WEFT_LOOP_ONLY;
  void Rest() WEFT_LOOP_ONLY;
  void OnPauseOver() WEFT_LOOP_ONLY;
  void OnConnected(SlotDial dial, MonoTime began,
                   absl::StatusOr<std::unique_ptr<Transport>> transport) WEFT_LOOP_ONLY;
  void Fail(const absl::Status& why) WEFT_LOOP_ONLY;
  // Runs `act` on the loop, if the keeper lives and Close has not run.
  template <typename Act>
  void Post(Act act);

  const std::shared_ptr<MeshLoops> loops_;
  const size_t index_;
  const std::shared_ptr<EventLoop> loop_;
  const std::shared_ptr<const SlotDialerOptions> options_;
  SlotDialerHost& host_;
  const std::weak_ptr<const void> keeper_;
  const size_t slot_;

  State state_ WEFT_LOOP_OWNED = State::kResting;
  std::unique_ptr<OnLoop> on_loop_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_SLOT_DIALER_H_
