// Bytes of input that are held for peers, of all connections of a runtime or of a server together,
// and their limit: unfinished messages and frames, requests until they are answered, messages of
// streams until they are read.
//
// Each connection counts for itself (InputAccount) and passes on what it holds in steps: one that
// holds less than a step touches nothing shared. So the sum may be short by a step for each
// connection, and a connection that holds little need not ask.
//
// Threads  any
// Owns     nothing
// Errors   Check: RESOURCE_EXHAUSTED with the numbers and the setting
#ifndef WEFT_CORE_INPUT_BUDGET_H_
#define WEFT_CORE_INPUT_BUDGET_H_

#include <atomic>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class WEFT_ANY_THREAD InputBudget {
 public:
  // 0: no limit. `setting` is for the text: "max_input_bytes of the server".
  InputBudget(size_t limit, std::string setting) : limit_(limit), setting_(std::move(setting)) {}
  InputBudget(const InputBudget&) = delete;
  InputBudget& operator=(const InputBudget&) = delete;

  // Tells that a holder of `before` bytes now holds `now`.
  void Change(size_t before, size_t now) {
    held_.fetch_add(now - before, std::memory_order_relaxed);  // wraps as it should
  }
  // Why `more` bytes must not be held, or OK.
  absl::Status Check(size_t more) const;
  size_t held() const { return held_.load(std::memory_order_relaxed); }
  size_t limit() const { return limit_; }

 private:
  const size_t limit_;
  const std::string setting_;
  alignas(64) std::atomic<size_t> held_{0};
};

}  // namespace weft::internal

#endif  // WEFT_CORE_INPUT_BUDGET_H_
