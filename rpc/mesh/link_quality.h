// How bytes travel from one host of a simulated network to another.
//
// Threads  value
#ifndef WEFT_RPC_MESH_LINK_QUALITY_H_
#define WEFT_RPC_MESH_LINK_QUALITY_H_

#include <cstdint>

#include "absl/time/time.h"
#include "weft/core/requirements.h"

namespace weft {

struct LinkQuality {
  // Delay of each write, drawn between the two. Bytes of one connection stay in order; connections
  // may overtake one another.
  absl::Duration delay = absl::Microseconds(50);
  absl::Duration max_delay = absl::Microseconds(500);
  // Bytes a second that arrive on each connection. 0: no limit.
  int64_t bytes_per_second = 0;
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_LINK_QUALITY_H_
