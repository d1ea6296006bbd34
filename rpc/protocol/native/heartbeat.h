// Judges if the peer of a connection still lives: when to ask it, and when to give it up. A plain
// value without a timer: LifeWatch asks it and acts.
//
//   an interval without a sign ──► PING ──► another one ──► suspect ──► `misses` after the first:
//                                                                       end
//
// One side may leave the asking to the other, whose PING it then hears once an interval. It judges
// in the same way, and asks itself when that PING is late by half an interval.
//
// Looks happen at multiples of a step, a tenth of an interval and at most 100 ms. The looks of all
// connections of a loop come together and wake it at most ten times a second. A judgement may be
// late by one step for that, once and not at each look.
//
// A byte read is a sign of life. A byte of ours that the peer has taken is one too, while the
// peer's answer cannot be seen: because this side has paused reading, or because the peer still
// reads what stands before the PING. Once it has taken all of that, it must answer.
//
// In return, a side that only reads sends a sign once in an interval: its answer to a PING may
// stand far behind input that it has not read yet.
//
// Threads  value; the session's loop
// Ends     Look returns kEnd; nothing is asked after it
#ifndef WEFT_RPC_PROTOCOL_NATIVE_HEARTBEAT_H_
#define WEFT_RPC_PROTOCOL_NATIVE_HEARTBEAT_H_

#include <cstdint>

#include "weft/core/clock.h"

namespace weft::internal::native {

class Heartbeat {
 public:
  // The connection at the moment of a look.
  struct Signs {
    MonoTime now{};
    MonoTime last_read{};
    uint64_t appended = 0;  // all bytes of our output so far
    uint64_t taken = 0;     // bytes that the peer has acknowledged
    bool paused = false;    // this side does not read at present
  };
  struct Verdict {
    enum class Act : uint8_t { kNothing, kPing, kEnd };
    Act act = Act::kNothing;
    bool became_suspect = false;
    bool no_longer_suspect = false;
    Nanos silent_for{};
    MonoTime look_at{};  // time of the next look
  };

  static constexpr Nanos kMaxStep = std::chrono::milliseconds(100);

  // `asks` false: the peer does the asking.
  explicit Heartbeat(bool asks = true) : asks_(asks) {}

  // Makes this side ask, because the peer asks less often than wanted.
  void SetAsks() { asks_ = true; }
  // `interval` must be above zero, `misses` at least 1. Returns the time of the first look.
  MonoTime Begin(MonoTime now, Nanos interval, int misses);
  // Call at the time that the last look returned, or later.
  Verdict Look(const Signs& signs);
  // Input was read. True: the peer was suspect.
  bool OnRead() { return Restart(0); }

  Nanos interval() const { return interval_; }

 private:
  // Waiting for the PING of a peer that was silent at one look.
  static constexpr int kWaits = -1;

  // True: the peer was suspect.
  bool Restart(int missed);
  Nanos Step() const;
  // The last multiple of a step up to `at`; the first from `at` on.
  MonoTime StepBefore(MonoTime at) const { return at - at.time_since_epoch() % Step(); }
  MonoTime StepFrom(MonoTime at) const { return StepBefore(at + Step() - Nanos(1)); }

  Nanos interval_{};
  uint64_t ping_at_ = 0;  // output position of the first unanswered PING; 0: none
  uint64_t appended_ = 0;
  uint64_t taken_ = 0;
  MonoTime last_taken_{};  // time when a look saw more taken, if it counts as a sign
  int misses_ = 1;
  int missed_ = 0;  // silent looks since the last sign of life; or kWaits
  bool asks_;
  bool was_paused_ = false;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_HEARTBEAT_H_
