// How often each latency occurred, kept to within 1 %.
//
// Values below 128 ns have a bucket each. Above, every power of two is cut into 128 equal buckets
// and a quantile answers with the middle of its bucket, so the error is at most 1/256 of the value.
//
//   value      0 .. 127 | 128 .. 255 | 256 .. 511 | 512 .. 1023 | ...
//   bucket is      1    |     1      |     2      |      4      | ...  ns wide
//
// Adding is a shift and an increment; 58 KiB each, all 64 bits of nanoseconds are covered.
//
// Threads  value
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace weft::bench {

class LatencyHistogram {
 public:
  LatencyHistogram() : counts_(kBuckets) {}

  void Add(uint64_t nanos) {
    ++counts_[BucketOf(nanos)];
    ++total_;
  }

  void Merge(const LatencyHistogram& other) {
    for (size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
  }

  uint64_t total() const { return total_; }

  // The latency, in nanoseconds, that the share `quantile` (0 to 1) of all calls does not exceed;
  // 0 when nothing was recorded.
  double Quantile(double quantile) const {
    if (total_ == 0) return 0;
    const auto rank = std::max<uint64_t>(
        1, static_cast<uint64_t>(std::ceil(quantile * static_cast<double>(total_))));
    uint64_t below = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      below += counts_[i];
      if (below >= rank) return MiddleOf(i);
    }
    return MiddleOf(kBuckets - 1);
  }

 private:
  static constexpr int kStepBits = 7;
  static constexpr size_t kSteps = size_t{1} << kStepBits;
  static constexpr size_t kBuckets = (64 - kStepBits + 1) * kSteps;

  static size_t BucketOf(uint64_t nanos) {
    if (nanos < kSteps) return static_cast<size_t>(nanos);
    const int shift = std::bit_width(nanos) - 1 - kStepBits;
    // nanos >> shift lies in [kSteps, 2 * kSteps): the row's own kSteps is what the +1 row adds.
    return static_cast<size_t>(shift) * kSteps + static_cast<size_t>(nanos >> shift);
  }

  static double MiddleOf(size_t bucket) {
    if (bucket < 2 * kSteps) return static_cast<double>(bucket);
    const int shift = static_cast<int>(bucket / kSteps) - 1;
    const auto step = static_cast<double>(bucket % kSteps + kSteps);
    return std::ldexp(step + 0.5, shift);
  }

  std::vector<uint64_t> counts_;
  uint64_t total_ = 0;
};

}  // namespace weft::bench
