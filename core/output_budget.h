// Bytes that wait to be written, of all connections of a runtime together, and their limit.
//
// Each queue counts for itself and passes on what it holds in steps: a queue that holds less than a
// step touches nothing shared. So the sum may be short by a step for each connection.
//
// Threads  any
// Owns     the closures of those who wait for room
// Errors   Check: RESOURCE_EXHAUSTED with both numbers and the setting
#ifndef WEFT_CORE_OUTPUT_BUDGET_H_
#define WEFT_CORE_OUTPUT_BUDGET_H_

#include <atomic>
#include <cstddef>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class WEFT_ANY_THREAD OutputBudget {
 public:
  static constexpr size_t kStep = size_t{64} << 10;

  // 0: no limit.
  explicit OutputBudget(size_t limit) : limit_(limit) {}
  OutputBudget(const OutputBudget&) = delete;
  OutputBudget& operator=(const OutputBudget&) = delete;

  // A queue that held `before` bytes holds `now`.
  void Change(size_t before, size_t now) {
    held_.fetch_add(now - before, std::memory_order_seq_cst);  // wraps as it should
    // Either this sees who waits, or who waits sees the change.
    if (now < before && waiting_.load(std::memory_order_seq_cst)) Tell();
  }
  size_t held() const { return held_.load(std::memory_order_relaxed); }
  size_t limit() const { return limit_; }

  // Why a queue must not hold `more` bytes besides `uncounted` ones that it holds already, or OK.
  // A message larger than the limit is allowed when nothing else waits. `side` and `whose` are for
  // the text.
  absl::Status Check(size_t uncounted, size_t more, std::string_view side,
                     std::string_view whose) const;
  // Calls `told` once, as soon as the queues hold so little that `more` bytes fit, and no more than
  // half of the limit; perhaps inside. It runs under a queue's mutex, so it only posts.
  void AwaitRoom(size_t more, absl::AnyInvocable<void() &&> told) WEFT_EXCLUDES(mu_);

 private:
  struct Wait {
    size_t most;
    absl::AnyInvocable<void() &&> told;
  };
  // Calls the closures that have room now.
  void Tell() WEFT_EXCLUDES(mu_);

  const size_t limit_;
  alignas(64) std::atomic<size_t> held_{0};
  std::atomic<bool> waiting_{false};  // somebody does
  Mutex mu_;
  std::vector<Wait> waits_ WEFT_GUARDED_BY(mu_);
};

}  // namespace weft::internal

#endif  // WEFT_CORE_OUTPUT_BUDGET_H_
