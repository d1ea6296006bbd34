// How long to wait before the next attempt: growing, bounded, jittered, so that many clients do not
// come at once.
//
// Threads  value
#ifndef WEFT_RPC_CLIENT_BACKOFF_H_
#define WEFT_RPC_CLIENT_BACKOFF_H_

#include <algorithm>
#include <cstdint>
#include <random>

#include "weft/core/clock.h"

namespace weft::internal {

class Backoff {
 public:
  // `jitter`: a share, 0 to 1; `seed`: different for each client.
  Backoff(Nanos first, double factor, Nanos most, double jitter, uint64_t seed)
      : first_(first),
        most_(most),
        factor_(std::max(1.0, factor)),
        jitter_(std::clamp(jitter, 0.0, 1.0)),
        next_(first),
        random_(static_cast<uint32_t>(seed ^ (seed >> 32))) {}

  // The wait before the next attempt.
  Nanos Next() {
    const Nanos base = std::min(next_, most_);
    const double longer = static_cast<double>(base.count()) * factor_;
    next_ =
        longer < static_cast<double>(most_.count()) ? Nanos(static_cast<int64_t>(longer)) : most_;
    std::uniform_real_distribution<double> spread(1 - jitter_, 1 + jitter_);
    const double wait = static_cast<double>(base.count()) * spread(random_);
    // Nanos::max() as a double is rounded up to a value that an int64_t cannot hold.
    return wait < static_cast<double>(Nanos::max().count()) ? Nanos(static_cast<int64_t>(wait))
                                                            : Nanos::max();
  }
  // An attempt succeeded.
  void Reset() { next_ = first_; }

 private:
  const Nanos first_, most_;
  const double factor_, jitter_;
  // The next wait, before its jitter.
  Nanos next_;
  std::minstd_rand random_;  // small: every channel has one
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_BACKOFF_H_
