// Measurements from the answers to PINGs: round-trip times, and the peer's clock.
//
//   question at t0 ──► the peer's clock shows c ──► answer at t3
//
// The peer read c somewhere between t0 and t3, so the clocks differ by c - (t0 + t3) / 2, with an
// error of at most half the round trip. The best of the last answers counts, with an error that
// grows while the clocks may drift apart.
//
// Threads  value; its owner's mutex
#ifndef WEFT_RPC_PROTOCOL_NATIVE_PING_TIMES_H_
#define WEFT_RPC_PROTOCOL_NATIVE_PING_TIMES_H_

#include <array>
#include <cstdint>
#include <memory>

#include "weft/core/clock.h"
#include "weft/rpc/protocol/peer_timing.h"

namespace weft::internal::native {

class PingTimes {
 public:
  // The shortest round trip covers this many answers, and up to as many before them. The clock is
  // that of the best of this many.
  static constexpr uint8_t kKept = 8;
  // Two clocks may drift apart by this share of the time passed: 100 in a million.
  static constexpr int64_t kDriftOneIn = 10'000;

  // Adds an answer that came `round_trip` after its question.
  void Add(Nanos round_trip);
  // Adds the peer's clock from an answer that came now: microseconds since the epoch, like
  // `own_clock`, the present time on this side. Any value is allowed.
  void AddClock(MonoTime now, Nanos round_trip, int64_t own_clock, uint64_t peer_clock);
  PeerTiming At(MonoTime now) const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct ClockSample {
    MonoTime at{};
    int64_t offset_us = 0;
    Nanos error = Nanos::max();  // max: no sample
    // The error now, including the drift since the sample.
    Nanos ErrorAt(MonoTime now) const {
      return error == Nanos::max() ? error : error + (now - at) / kDriftOneIn;
    }
  };
  struct ClockSamples {
    std::array<ClockSample, kKept> samples;
    uint8_t next = 0;
  };

  // Round trips in microseconds.
  uint32_t last_ = kNone;
  uint32_t shortest_ = kNone;         // of the last `count_`
  uint32_t shortest_before_ = kNone;  // of the kKept before these
  uint8_t count_ = 0;
  std::unique_ptr<ClockSamples> clock_;  // made for the first sample
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_PING_TIMES_H_
