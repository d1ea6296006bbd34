// Judges whether the peer of a connection still lives: when to ask it, and when to give it up.
//
//   an interval without a sign ──► PING ──► another one ──► suspect ──► `misses` after the first:
//                                                                       end
//
// A sign of life is a byte that was read. A byte of ours that the peer has taken is one too, while
// the peer's answer cannot be seen: this side has paused reading, or the peer still reads what
// stands before the PING. A peer that has taken all of that must answer.
//
// The other way round, a side that only reads says once in an interval that it lives: its answer to
// a PING may be far behind what it has not read yet.
//
// Threads  value; the session's loop
// Ends     Look says kEnd; nothing is asked afterwards
#ifndef WEFT_RPC_PROTOCOL_NATIVE_HEARTBEAT_H_
#define WEFT_RPC_PROTOCOL_NATIVE_HEARTBEAT_H_

#include <cstdint>

#include "weft/core/clock.h"

namespace weft::native {

class Heartbeat {
 public:
  // The connection at the moment of a look.
  struct Signs {
    MonoTime now{};
    MonoTime last_read{};
    uint64_t appended = 0;  // bytes of our output: all that there ever was
    uint64_t taken = 0;     // those of them that the peer has acknowledged
    bool paused = false;    // this side does not read at present
  };
  struct Verdict {
    enum class Act : uint8_t { kNothing, kPing, kEnd };
    Act act = Act::kNothing;
    bool became_suspect = false;
    bool no_longer_suspect = false;
    Nanos silent_for{};
    Nanos next_look{};  // from now
  };

  // `interval` is above zero, `misses` at least 1.
  void Begin(Nanos interval, int misses);
  // Each time that the last look asked for.
  Verdict Look(const Signs& signs);
  // Something was read. True: the peer was suspect.
  bool OnRead() { return Restart(0); }

  Nanos interval() const { return interval_; }

 private:
  // True: the peer was suspect.
  bool Restart(int missed);

  Nanos interval_{};
  int misses_ = 1;
  int missed_ = 0;        // silent looks since the last sign of life
  uint64_t ping_at_ = 0;  // where the first PING without an answer begins; 0: none
  bool was_paused_ = false;
  uint64_t appended_ = 0;
  uint64_t taken_ = 0;
  MonoTime last_taken_{};  // when a look saw that more was taken, as far as it counts
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_HEARTBEAT_H_
