// Bytes that wait to be written, of all connections of a runtime together, and their limit.
//
// Each queue counts for itself and passes on what it holds in steps: a queue that holds less than a
// step touches nothing shared. So the sum may be short by a step for each connection.
//
// Threads  any
// Owns     nothing
// Errors   Check: RESOURCE_EXHAUSTED with both numbers and the setting
#ifndef WEFT_CORE_OUTPUT_BUDGET_H_
#define WEFT_CORE_OUTPUT_BUDGET_H_

#include <atomic>
#include <cstddef>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/thread_contract.h"

namespace weft {

class ANY_THREAD OutputBudget {
 public:
  static constexpr size_t kStep = size_t{64} << 10;

  // 0: no limit.
  explicit OutputBudget(size_t limit) : limit_(limit) {}
  OutputBudget(const OutputBudget&) = delete;
  OutputBudget& operator=(const OutputBudget&) = delete;

  // A queue that held `before` bytes holds `now`.
  void Change(size_t before, size_t now) {
    held_.fetch_add(now - before, std::memory_order_relaxed);  // wraps as it should
  }
  size_t held() const { return held_.load(std::memory_order_relaxed); }
  size_t limit() const { return limit_; }

  // Why a queue must not hold `more` bytes besides `uncounted` ones that it holds already, or OK.
  // What is larger than the limit goes alone. `side` and `whose` are for the text.
  absl::Status Check(size_t uncounted, size_t more, std::string_view side,
                     std::string_view whose) const;

 private:
  const size_t limit_;
  alignas(64) std::atomic<size_t> held_{0};
};

}  // namespace weft

#endif  // WEFT_CORE_OUTPUT_BUDGET_H_
