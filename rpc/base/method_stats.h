// Counts how a method's calls ended: their number, errors by code, and a histogram of latency.
//
// Each thread adds to a cell of its own, so counting costs no shared cache line; a snapshot adds
// the cells up. The histogram has 16 steps to each power of two of nanoseconds: at most 6 % wide.
//
// Threads  any. A snapshot taken while calls end may see one in the count and not yet in the
//          histogram
// Owns     its cells, made when a thread first adds
#ifndef WEFT_RPC_BASE_METHOD_STATS_H_
#define WEFT_RPC_BASE_METHOD_STATS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/thread_contract.h"

namespace weft {

struct MethodStatsSnapshot {
  std::string method;                 // "demo.Greeter/Say"
  int64_t calls = 0;                  // ended, in whatever way
  std::array<int64_t, 17> by_code{};  // by status code; [0] is OK
  std::vector<int64_t> latency;       // counts by bucket, see LatencyOfBucket
  int64_t errors() const { return calls - by_code[0]; }
  // The latency that the share `q` (0 to 1) of all calls stayed within; zero without calls.
  Nanos Quantile(double q) const;
};

// The same of a client: how the calls that it started ended. Latency is what its callers wait: from
// the start, through waiting for a connection and every attempt, to the end. A stream's is its
// life.
struct CallStatsSnapshot : MethodStatsSnapshot {
  int64_t started = 0;
  int64_t in_flight = 0;  // started, and not ended yet
  int64_t retries = 0;    // attempts after the first, by a RetryPolicy
  int64_t hedges = 0;     // attempts beside others, by a HedgingPolicy
  int64_t resent = 0;     // times that one was sent again because no server had taken it
};

class WEFT_ANY_THREAD MethodStats {
 public:
  // Each power of two has 2^kStepBits steps in the histogram.
  static constexpr int kStepBits = 4;
  static constexpr size_t kBuckets = (64 - kStepBits + 1) << kStepBits;
  // Threads whose numbers are equal modulo this share a cell.
  static constexpr size_t kCells = 64;

  explicit MethodStats(std::string method) : method_(std::move(method)) {}
  ~MethodStats();
  MethodStats(const MethodStats&) = delete;
  MethodStats& operator=(const MethodStats&) = delete;

  void Add(absl::StatusCode code, Nanos latency);
  MethodStatsSnapshot Snapshot() const;
  const std::string& method() const { return method_; }

  static size_t BucketOf(Nanos latency);
  // The middle of a bucket.
  static Nanos LatencyOfBucket(size_t bucket);

 private:
  struct Cell {
    std::array<std::atomic<int64_t>, 17> by_code{};
    std::array<std::atomic<int64_t>, kBuckets> latency{};
  };
  Cell& MyCell();

  const std::string method_;
  std::array<std::atomic<Cell*>, kCells> cells_{};
};

}  // namespace weft

#endif  // WEFT_RPC_BASE_METHOD_STATS_H_
