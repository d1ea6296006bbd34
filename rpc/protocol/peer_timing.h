// The round-trip time to a peer, and the difference of its clock, measured by questions that the
// peer answers at once.
//
// Threads  value
#ifndef WEFT_RPC_PROTOCOL_PEER_TIMING_H_
#define WEFT_RPC_PROTOCOL_PEER_TIMING_H_

#include "absl/time/time.h"
#include "weft/core/requirements.h"

namespace weft {

struct PeerTiming {
  // From question to answer on this side's clock: the last one, and the shortest of the last few.
  // Infinite: no answer yet.
  absl::Duration round_trip = absl::InfiniteDuration();
  absl::Duration min_round_trip = absl::InfiniteDuration();
  // The peer's wall clock minus this side's, and the possible error in either direction. Infinite
  // error: the peer has not sent its clock; only nodes of a cluster do.
  absl::Duration clock_offset = absl::ZeroDuration();
  absl::Duration clock_error = absl::InfiniteDuration();
};

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_PEER_TIMING_H_
