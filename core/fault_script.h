// The faults of one direction of an in-process connection, as plain values.
//
//   byte 0 ─────────────────────────► drop_from: vanishes from here on, nobody is told
//          ─────────────────────────────► cut_at: both ends are reset here
//   max_write bytes a write · delay … max_delay later · max_read bytes every read_every
//
// Bytes of one direction stay in order and are never changed. Directions and connections with
// different delays overtake one another.
//
// Threads  value
#ifndef WEFT_CORE_FAULT_SCRIPT_H_
#define WEFT_CORE_FAULT_SCRIPT_H_

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "weft/core/requirements.h"

namespace weft {

// A position that no byte has.
inline constexpr uint64_t kNoByte = UINT64_MAX;

struct FaultScript {
  // Bytes arrive so much after they were written, by the clock of the end that reads. Each write
  // draws its own delay, from `delay` to `max_delay`. `max_delay` below `delay`: always `delay`.
  absl::Duration delay = absl::ZeroDuration();
  absl::Duration max_delay = absl::ZeroDuration();
  // Bytes from this position on vanish, and so does the news of a close: a pulled cable.
  uint64_t drop_from = kNoByte;
  // When so many bytes were written the connection is reset, in both directions; these bytes still
  // arrive.
  uint64_t cut_at = kNoByte;
  // So many bytes a second arrive, at most; what is written waits its turn. 0: no limit.
  int64_t bytes_per_second = 0;
  // One write takes at most so many bytes. 0: as many as there is room for.
  size_t max_write = 0;
  // One read gives at most so many bytes, 0: all that are there; the next one may follow after
  // `read_every`.
  size_t max_read = 0;
  absl::Duration read_every = absl::ZeroDuration();
  // The seed of the delays drawn.
  uint64_t seed = 0;
};

// Shares of connections, from 0 to 1, that get a fault of each kind; see ConnectionFaults::Drawn.
struct FaultMix {
  double refused = 0;
  double cut = 0.1;
  double dropped = 0.05;
  double delayed = 0.3;
  double partial_writes = 0.2;
  double slow_reader = 0.1;
  // Cuts and drops come at a position below this, after the handshake or within it.
  uint64_t bytes = 1 << 20;
  absl::Duration max_delay = absl::Milliseconds(2);
};

// Both directions of one connection.
struct ConnectionFaults {
  FaultScript to_listener = {};
  FaultScript to_dialer = {};
  // Dialling fails with UNAVAILABLE.
  bool refused = false;

  // The faults of the connection with this number, by a seed: the same for the same three.
  static ConnectionFaults Drawn(uint64_t seed, uint64_t connection, const FaultMix& mix);
};

}  // namespace weft

#endif  // WEFT_CORE_FAULT_SCRIPT_H_
