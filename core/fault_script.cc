#include "weft/core/fault_script.h"

#include <algorithm>

#include "weft/core/random_bits.h"

namespace weft {

using namespace internal;

ConnectionFaults ConnectionFaults::Drawn(uint64_t seed, uint64_t connection, const FaultMix& mix) {
  uint64_t state = seed;
  // One step before the connection's number is mixed in: neighbouring seeds would else share their
  // connections' draws.
  state = NextRandomBits(&state) ^ connection;
  const auto happens = [&state](double share) { return NextRandomShare(&state) < share; };
  const auto below = [&state](uint64_t most) {
    return NextRandomBits(&state) % std::max<uint64_t>(most, 1);
  };
  ConnectionFaults faults;
  faults.refused = happens(mix.refused);
  // Every draw is made whatever the others came to, so that one share does not move the others.
  for (FaultScript* script : {&faults.to_listener, &faults.to_dialer}) {
    const bool cut = happens(mix.cut / 2);
    const bool dropped = happens(mix.dropped / 2);
    const bool delayed = happens(mix.delayed);
    const bool partial = happens(mix.partial_writes);
    const bool slow = happens(mix.slow_reader);
    const uint64_t cut_at = 1 + below(mix.bytes);
    const uint64_t drop_from = below(mix.bytes);
    const double delay = NextRandomShare(&state);
    const uint64_t max_write = 1 + below(100);
    const uint64_t max_read = 1 + below(4096);
    script->seed = NextRandomBits(&state);
    if (cut) script->cut_at = cut_at;
    if (dropped) script->drop_from = drop_from;
    if (delayed) {
      script->delay = mix.max_delay * delay / 2;
      script->max_delay = mix.max_delay * delay;
    }
    if (partial) script->max_write = static_cast<size_t>(max_write);
    if (slow) {
      script->max_read = static_cast<size_t>(max_read);
      script->read_every = mix.max_delay / 10;
    }
  }
  return faults;
}

}  // namespace weft
