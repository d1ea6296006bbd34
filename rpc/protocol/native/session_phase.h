// The phase of a native session, and the reason of its end.
//
//   kOpening ──preface──► kHello ──its Hello──► kVerdict ──it is known──► kUp
//   kOpening, kHello, kVerdict, kUp ──last words──► kEnding
//   kOpening, kHello, kVerdict, kUp, kEnding ──the connection is closed──► kEnded
//
// kUp: calls go in both directions. kEnding: queued output still leaves, and input is ignored.
// kEnded: every call has ended.
//
// Threads  value; the session's loop
// Owns     the reason of the end; the first reason counts
#ifndef WEFT_RPC_PROTOCOL_NATIVE_SESSION_PHASE_H_
#define WEFT_RPC_PROTOCOL_NATIVE_SESSION_PHASE_H_

#include <cstdint>
#include <utility>

#include "weft/core/check.h"
#include "weft/rpc/protocol/close_reason.h"

namespace weft::internal::native {

class SessionPhase {
 public:
  enum class State : uint8_t { kOpening, kHello, kVerdict, kUp, kEnding, kEnded };
  static constexpr bool MayGo(State from, State to) {
    if (to >= State::kEnding) return from < to;
    return static_cast<int>(to) == static_cast<int>(from) + 1;
  }

  State state() const { return state_; }
  bool is(State state) const { return state_ == state; }
  bool up() const { return state_ == State::kUp; }
  // True once input is ignored. Check it after every call that may have ended the session.
  bool ending() const { return state_ >= State::kEnding; }
  void Set(State to) {
    WEFT_DCHECK(MayGo(state_, to));
    state_ = to;
  }

  CloseReason reason() const { return reason_; }
  bool has_reason() const { return has_reason_; }
  // Sets the reason, unless there is one already.
  void SetReason(CloseReason reason) {
    if (!std::exchange(has_reason_, true)) reason_ = reason;
  }

 private:
  State state_ = State::kOpening;
  bool has_reason_ = false;
  CloseReason reason_ = CloseReason::kPeerClosed;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_SESSION_PHASE_H_
