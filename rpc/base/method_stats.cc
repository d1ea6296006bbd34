#include "weft/rpc/base/method_stats.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace weft {

namespace {

// Numbers the threads in the order in which they first count. Threads beyond kCells share cells, so
// cells are atomic although most have one writer.
size_t ThreadNumber() {
  static std::atomic<size_t> next{0};
  thread_local const size_t mine = next.fetch_add(1, std::memory_order_relaxed);
  return mine;
}

}  // namespace

MethodStats::~MethodStats() {
  for (auto& cell : cells_) delete cell.load(std::memory_order_acquire);
}

size_t MethodStats::BucketOf(Nanos latency) {
  const auto v = static_cast<uint64_t>(std::max<int64_t>(0, latency.count()));
  // Below 16 ns each nanosecond is a bucket. Above, the bits behind the highest one choose one of
  // 16 steps within its power of two.
  if (v < (1u << kStepBits)) return v;
  const int exponent = 63 - std::countl_zero(v);
  return (static_cast<size_t>(exponent - kStepBits + 1) << kStepBits) +
         ((v >> (exponent - kStepBits)) & ((1u << kStepBits) - 1));
}

Nanos MethodStats::LatencyOfBucket(size_t bucket) {
  if (bucket < (1u << kStepBits)) return Nanos(static_cast<int64_t>(bucket));
  const int exponent = static_cast<int>(bucket >> kStepBits) + kStepBits - 1;
  const double step = std::ldexp(1.0, exponent - kStepBits);
  const auto within = static_cast<double>(bucket & ((1u << kStepBits) - 1));
  return Nanos(static_cast<int64_t>(std::ldexp(1.0, exponent) + within * step + step / 2));
}

MethodStats::Cell& MethodStats::MyCell() {
  std::atomic<Cell*>& slot = cells_[ThreadNumber() % kCells];
  Cell* cell = slot.load(std::memory_order_acquire);
  if (cell != nullptr) return *cell;
  // Two threads of one cell may both make it; the first one stored wins, and the other copy is
  // freed.
  auto* made = new Cell;
  if (slot.compare_exchange_strong(cell, made, std::memory_order_acq_rel)) return *made;
  delete made;
  return *cell;
}

void MethodStats::Add(absl::StatusCode code, Nanos latency) {
  Cell& cell = MyCell();
  // A status code may be any number of the application's: unknown ones are counted in the last
  // place.
  const auto index = std::min<size_t>(static_cast<size_t>(code), cell.by_code.size() - 1);
  cell.by_code[index].fetch_add(1, std::memory_order_relaxed);
  cell.latency[BucketOf(latency)].fetch_add(1, std::memory_order_relaxed);
}

MethodStatsSnapshot MethodStats::Snapshot() const {
  MethodStatsSnapshot sum;
  sum.method = method_;
  sum.latency.resize(kBuckets);
  for (const auto& slot : cells_) {
    const Cell* cell = slot.load(std::memory_order_acquire);
    if (cell == nullptr) continue;
    for (size_t i = 0; i < sum.by_code.size(); ++i) {
      const int64_t n = cell->by_code[i].load(std::memory_order_relaxed);
      sum.by_code[i] += n;
      sum.calls += n;
    }
    for (size_t i = 0; i < kBuckets; ++i)
      sum.latency[i] += cell->latency[i].load(std::memory_order_relaxed);
  }
  return sum;
}

Nanos MethodStatsSnapshot::Quantile(double q) const {
  int64_t total = 0;
  for (int64_t n : latency) total += n;
  if (total == 0) return Nanos::zero();
  const auto want = std::clamp<int64_t>(
      static_cast<int64_t>(std::ceil(q * static_cast<double>(total))), 1, total);
  int64_t seen = 0;
  for (size_t i = 0; i < latency.size(); ++i) {
    seen += latency[i];
    if (seen >= want) return MethodStats::LatencyOfBucket(i);
  }
  return Nanos::zero();
}

}  // namespace weft
