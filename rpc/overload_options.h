// The limits for when more calls come than a server can serve. Everything is off unless it is set.
//
//   weft::Server server({.overload = {.adaptive = true, .shed = true}});
//
// Threads  value
#ifndef WEFT_RPC_OVERLOAD_OPTIONS_H_
#define WEFT_RPC_OVERLOAD_OPTIONS_H_

#include <cstdint>

#include "absl/time/time.h"
#include "weft/core/requirements.h"

namespace weft {

struct OverloadOptions {
  // Calls of all connections and methods that may be under way, waiting or served; more are refused
  // with RESOURCE_EXHAUSTED. While more than one connection is open, the last eighth (at least one
  // call) is kept for connections that hold less than the limit divided by the connections: one
  // connection alone cannot use it up. 0: no limit.
  int64_t max_calls = 0;
  // Limits the calls under way of each worker pool to what it can serve without a long wait: the
  // limit follows the ratio of the smallest to the present wait for a worker.
  bool adaptive = false;
  // Bounds of the adaptive limit, by pool. It is never below the pool's threads.
  int64_t min_adaptive_calls = 8;
  int64_t max_adaptive_calls = 10'000;
  // Refuses, while a queue stands, calls that have waited for twice `queue_target` and calls whose
  // deadline cannot be met any more.
  bool shed = false;
  // The wait for a worker that is no overload. Zero: any wait is one. Infinite: refused.
  absl::Duration queue_target = absl::Milliseconds(5);
  // A queue stands when every call of this long has waited for more than `queue_target`.
  // Zero: as soon as one call has. Infinite: none stands.
  absl::Duration queue_interval = absl::Milliseconds(100);
};

}  // namespace weft

#endif  // WEFT_RPC_OVERLOAD_OPTIONS_H_
