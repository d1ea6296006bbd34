#include "weft/core/fault_cursor.h"

#include <algorithm>

#include "weft/core/random_bits.h"

namespace weft::internal {

FaultCursor::FaultCursor(const FaultScript& script)
    : script_(script),
      delay_(std::max(ToNanos(script.delay), Nanos::zero())),
      delay_span_(std::max(ToNanos(script.max_delay) - delay_, Nanos::zero())),
      read_every_(std::max(ToNanos(script.read_every), Nanos::zero())),
      random_(script.seed) {}

Nanos FaultCursor::DrawDelay() {
  if (delay_span_ == Nanos::zero()) return delay_;
  const uint64_t span = static_cast<uint64_t>(delay_span_.count()) + 1;
  return delay_ + Nanos(static_cast<int64_t>(NextRandomBits(&random_) % span));
}

FaultCursor::Written FaultCursor::Write(size_t offered) {
  Written result;
  uint64_t most = offered;
  if (script_.max_write != 0) most = std::min<uint64_t>(most, script_.max_write);
  // The inner minimum keeps the difference from wrapping when the position has passed the cut.
  most = std::min(most, script_.cut_at - std::min(position_, script_.cut_at));
  result.taken = static_cast<size_t>(most);
  if (position_ < script_.drop_from) {
    result.arriving = static_cast<size_t>(std::min(most, script_.drop_from - position_));
  }
  result.delay = DrawDelay();
  // Positions count bytes taken, not bytes that arrived: a script means what its peer wrote.
  position_ += most;
  result.cut = position_ >= script_.cut_at;
  return result;
}

Nanos FaultCursor::WireTime(size_t bytes) const {
  if (script_.bytes_per_second <= 0) return Nanos::zero();
  const double seconds = static_cast<double>(bytes) / static_cast<double>(script_.bytes_per_second);
  return Nanos(static_cast<int64_t>(seconds * 1e9));
}

size_t FaultCursor::Read(size_t offered) const {
  return script_.max_read == 0 ? offered : std::min(offered, script_.max_read);
}

}  // namespace weft::internal
