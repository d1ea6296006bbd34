// Counts the calls of one method that a client starts and ends.
//
// Every call passes here twice, so a count is a plain addition: each thread has a cell of its own
// and is the only one that writes there; a snapshot adds the cells up. A thread gives its cell's
// number back when it ends. Threads for which there is no number share one cell, by atomic
// additions.
//
// A call that ended well is counted in the histogram of latency alone: their number is the
// histogram's sum less the errors.
//
// Threads  any. A snapshot taken while calls start and end may lack the last of them
// Owns     its cells, made when a thread first counts
#ifndef WEFT_RPC_BASE_METHOD_CALLS_H_
#define WEFT_RPC_BASE_METHOD_CALLS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/base/optimization.h"
#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/base/method_stats.h"

namespace weft::internal {

class WEFT_ANY_THREAD MethodCalls {
 public:
  // Threads with a cell of their own at the same time: one less.
  static constexpr size_t kCells = 64;
  // Latencies below 16 ns are counted as 16 ns.
  static constexpr int kLeastExponent = MethodStats::kStepBits;

  explicit MethodCalls(std::string method) : method_(std::move(method)) {}
  ~MethodCalls();
  MethodCalls(const MethodCalls&) = delete;
  MethodCalls& operator=(const MethodCalls&) = delete;

  void Started() {
    Cell* const cell = cells_[own_number_].load(std::memory_order_acquire);
    if (ABSL_PREDICT_FALSE(cell == nullptr)) return StartedSlow();
    Add<false>(cell->started);
  }
  // `started`, `at`: by the clock of the loops on which calls end; `at` unset: it ends now.
  void Ended(const absl::Status& status, MonoTime started, MonoTime at = {});
  void AddRetry() { retries_.fetch_add(1, std::memory_order_relaxed); }
  void AddHedge() { hedges_.fetch_add(1, std::memory_order_relaxed); }
  void AddResent() { resent_.fetch_add(1, std::memory_order_relaxed); }

  // Adds its counts to `sum`, whose histogram has MethodStats::kBuckets.
  void AddTo(CallStatsSnapshot* sum) const;
  const std::string& method() const { return method_; }

 private:
  using Count = std::atomic<int64_t>;
  // A power of two of nanoseconds, in 16 steps. A method's latencies meet few of the 59.
  using Chunk = std::array<Count, size_t{1} << MethodStats::kStepBits>;
  static constexpr size_t kChunks = 63 - kLeastExponent;

  struct alignas(64) Cell {
    ~Cell();
    Count started{0};
    // By status code; [0]: that ended in whatever way and for whose latency there was no memory.
    std::array<Count, 17> by_code{};
    std::array<std::atomic<Chunk*>, kChunks> latency{};
  };

  // They make the thread's cell and the place in its histogram, or count in the shared cell.
  void StartedSlow();
  void EndedSlow(const absl::Status& status, uint64_t latency);
  void EndedNow(const absl::Status& status, MonoTime started);
  // Null: the thread has no cell of its own.
  Cell* MakeCell();
  template <bool kShared>
  static void CountEnd(Cell& cell, const absl::Status& status, uint64_t latency);
  template <bool kShared>
  static void Add(Count& count) {
    if constexpr (kShared) {
      count.fetch_add(1, std::memory_order_relaxed);
    } else {
      count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
  }
  // Gives this thread a number, if there is one.
  static void TakeNumber();
  struct NumberReturn;
  static Chunk* MakeChunk(std::atomic<Chunk*>& place);

  // The number of this thread, which is the place of its cells. 0: it has none. In the static part
  // of a thread's memory, where it is found without a call, in a shared library too.
  [[gnu::tls_model("initial-exec")]] static constinit thread_local size_t own_number_;

  const std::string method_;
  std::array<std::atomic<Cell*>, kCells> cells_{};  // [0] stays null: of threads without a number
  Cell shared_;
  Count retries_{0}, hedges_{0}, resent_{0};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_BASE_METHOD_CALLS_H_
