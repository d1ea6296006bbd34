#include "weft/rpc/server/adaptive_limit.h"

#include <algorithm>
#include <cmath>

namespace weft::internal {

AdaptiveLimit::AdaptiveLimit(int64_t least, int64_t most, Nanos target)
    : least_(static_cast<double>(std::max<int64_t>(1, least))),
      most_(std::max(least_, static_cast<double>(most))),
      target_(static_cast<double>(std::max<int64_t>(1, target.count()))),
      limit_(std::clamp(static_cast<double>(kFirst), least_, most_)),
      smallest_(target_) {}

void AdaptiveLimit::Sample(MonoTime now, Nanos wait, int64_t under_way) {
  if (samples_ == 0) window_end_ = now + kWindow;
  sum_ += static_cast<double>(std::max<int64_t>(0, wait.count()));
  ++samples_;
  max_under_way_ = std::max(max_under_way_, under_way);
  if (now < window_end_ || samples_ < kMinSamples) return;
  EndWindow();
  sum_ = 0;
  samples_ = 0;
  max_under_way_ = 0;
}

void AdaptiveLimit::EndWindow() {
  const double present = sum_ / samples_;
  // At most the target: a pool that has been overloaded from its first call on must not take that
  // wait for its normal one.
  smallest_ = std::min({smallest_, present, target_});
  const double gradient =
      std::clamp((smallest_ + target_) / (present + target_), kMinGradient, 1.0);
  const double wanted = limit_ * gradient + std::sqrt(limit_);
  // A pool that is hardly used says nothing about a higher limit.
  if (wanted > limit_ && static_cast<double>(max_under_way_) < limit_ / 2) return;
  limit_ = std::clamp((1 - kSmoothing) * limit_ + kSmoothing * wanted, least_, most_);
}

}  // namespace weft::internal
