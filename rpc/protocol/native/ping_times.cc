#include "weft/rpc/protocol/native/ping_times.h"

#include <algorithm>

namespace weft::internal::native {

void PingTimes::Add(Nanos round_trip) {
  const int64_t us = round_trip / std::chrono::microseconds(1);
  last_ = static_cast<uint32_t>(std::clamp<int64_t>(us, 0, kNone - 1));
  // Two windows: the shortest of one to two times kKept round trips, without keeping them. An old
  // minimum is forgotten when the network has changed.
  if (count_ == kKept) {
    shortest_before_ = shortest_;
    shortest_ = kNone;
    count_ = 0;
  }
  shortest_ = std::min(shortest_, last_);
  ++count_;
}

void PingTimes::AddClock(MonoTime now, Nanos round_trip, int64_t own_clock, uint64_t peer_clock) {
  if (clock_ == nullptr) clock_ = std::make_unique<ClockSamples>();
  // The peer read its clock at some moment of the round trip: the middle is wrong by half of it at
  // most.
  const int64_t middle = own_clock - round_trip / std::chrono::microseconds(2);
  ClockSample& sample = clock_->samples[clock_->next];
  clock_->next = static_cast<uint8_t>((clock_->next + 1) % kKept);
  sample.at = now;
  // Unsigned arithmetic: any two values have a difference.
  sample.offset_us = static_cast<int64_t>(peer_clock - static_cast<uint64_t>(middle));
  // Each clock is read to a microsecond.
  sample.error = round_trip / 2 + std::chrono::microseconds(1);
}

PeerTiming PingTimes::At(MonoTime now) const {
  PeerTiming timing;
  if (last_ == kNone) return timing;
  timing.round_trip = absl::Microseconds(last_);
  timing.min_round_trip = absl::Microseconds(std::min(shortest_, shortest_before_));
  if (clock_ == nullptr) return timing;
  // The sample with the least error now: a short round trip is better than a new one, until the
  // clocks have drifted.
  const auto best = std::min_element(clock_->samples.begin(), clock_->samples.end(),
                                     [now](const ClockSample& a, const ClockSample& b) {
                                       return a.ErrorAt(now) < b.ErrorAt(now);
                                     });
  timing.clock_offset = absl::Microseconds(best->offset_us);
  timing.clock_error = ToAbsl(best->ErrorAt(now));
  return timing;
}

}  // namespace weft::internal::native
