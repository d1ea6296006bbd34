// The bytes that wait in one output queue, counted against the budget that it shares with others.
//
// The budget is told in steps: a queue that holds less than a step touches nothing shared.
//
// Threads  counted: any. Everything else: one at a time, under the queue's mutex
// Owns     what the budget knows of the queue; the queue sets it to 0 before it ends
// Errors   Check: RESOURCE_EXHAUSTED with both numbers and the setting
#ifndef WEFT_CORE_OUTPUT_ACCOUNT_H_
#define WEFT_CORE_OUTPUT_ACCOUNT_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "weft/core/output_budget.h"

namespace weft::internal {

class OutputAccount {
 public:
  // `budget` may be null.
  explicit OutputAccount(std::shared_ptr<OutputBudget> budget) : budget_(std::move(budget)) {}
  OutputAccount(const OutputAccount&) = delete;
  OutputAccount& operator=(const OutputAccount&) = delete;

  // The queue holds `unsent` bytes. Tells the budget when it is a step behind, or none are left.
  void Set(size_t unsent) {
    const size_t told = counted();
    if (told > 0 && (unsent == 0 || unsent + OutputBudget::kStep <= told)) {
      Tell(unsent);
    } else {
      SetMore(unsent);
    }
  }
  // The same, where there can only be more than before.
  void SetMore(size_t unsent) {
    if (unsent >= counted() + OutputBudget::kStep) Tell(unsent);
  }
  // The bytes that the budget knows of; less than a step away from the bytes that the queue holds.
  size_t counted() const { return counted_.load(std::memory_order_relaxed); }

  // True if a queue of `unsent` bytes needs Check for `more`. It does not if both are little
  // together.
  bool NeedsCheck(size_t unsent, size_t more) const {
    return unsent + more > OutputBudget::kStep && budget_ != nullptr;
  }
  // Why `more` bytes must not be appended as far as all queues together are concerned, or OK. The
  // names are for the text.
  absl::Status Check(size_t unsent, size_t more, std::string_view side,
                     std::string_view whose) const {
    if (!NeedsCheck(unsent, more)) return absl::OkStatus();
    return budget_->Check(unsent > counted() ? unsent - counted() : 0, more, side, whose);
  }

 private:
  ABSL_ATTRIBUTE_NOINLINE void Tell(size_t unsent) {
    if (budget_ != nullptr) budget_->Change(counted(), unsent);
    counted_.store(unsent, std::memory_order_relaxed);
  }

  const std::shared_ptr<OutputBudget> budget_;
  std::atomic<size_t> counted_{0};
};

}  // namespace weft::internal

#endif  // WEFT_CORE_OUTPUT_ACCOUNT_H_
