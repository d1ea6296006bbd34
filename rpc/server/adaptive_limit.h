// Limits how many calls a pool may have under way. The limit follows the wait for a worker.
//
// At the end of each window, from the mean wait in it and the smallest of all windows:
//
//   gradient = (smallest + target) / (present + target), from 1/2 to 1
//   limit    = 0.8 × limit + 0.2 × (limit × gradient + √limit), within its bounds
//
// So the limit grows by its headroom √limit while there is hardly a wait, and comes to rest where
// the wait takes away what the headroom gives, at a part of the target. It does not grow while the
// calls under way do not fill half of it. The form, the smoothing of 0.2, the lowest gradient of
// 1/2 and the headroom are those of Gradient2Limit in Netflix's concurrency-limits; that one
// compares whole response times, with a tolerance of 1.5, where `target` stands here: the wait is
// the part that overload makes, whatever handlers take. The smallest wait counts for `target` at
// most.
//
// Threads  value; time comes from the caller
#ifndef WEFT_RPC_SERVER_ADAPTIVE_LIMIT_H_
#define WEFT_RPC_SERVER_ADAPTIVE_LIMIT_H_

#include <cstdint>

#include "weft/core/clock.h"

namespace weft::internal {

class AdaptiveLimit {
 public:
  // A window has both: this time at least, and so many samples at least.
  static constexpr Nanos kWindow = std::chrono::milliseconds(20);
  static constexpr int kMinSamples = 10;
  static constexpr double kSmoothing = 0.2;
  static constexpr double kMinGradient = 0.5;
  // Calls that may be under way at first, within the bounds.
  static constexpr int64_t kFirst = 100;

  AdaptiveLimit(int64_t least, int64_t most, Nanos target);

  // A call has come to a worker after waiting so long; `under_way` are the pool's calls at this
  // moment.
  void Sample(MonoTime now, Nanos wait, int64_t under_way);
  int64_t limit() const { return static_cast<int64_t>(limit_); }

 private:
  void EndWindow();

  const double least_, most_, target_;
  double limit_;
  double smallest_;  // of a window's mean, in ns; at most target_
  MonoTime window_end_{};
  // Of the window: waits in ns, their number, and the most calls under way.
  double sum_ = 0;
  int samples_ = 0;
  int64_t max_under_way_ = 0;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_ADAPTIVE_LIMIT_H_
