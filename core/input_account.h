// The bytes of input that one connection holds, counted against the budgets that it shares with
// others: its runtime's, and its server's.
//
// Until the peer is known (SetKnown) every byte is counted at once, against a smaller budget too.
//
// Threads  any; SetKnown: the loop, before anything that was held is handed to other threads
// Owns     its share of the budgets, given back by the destructor
// Errors   TryAdd: RESOURCE_EXHAUSTED with the numbers and the setting
#ifndef WEFT_CORE_INPUT_ACCOUNT_H_
#define WEFT_CORE_INPUT_ACCOUNT_H_

#include <atomic>
#include <cstddef>
#include <memory>

#include "absl/status/status.h"
#include "weft/core/input_budget.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

// The budgets of an account; each may be null.
struct InputBudgets {
  std::shared_ptr<InputBudget> runtime;
  std::shared_ptr<InputBudget> server;
  // The budget of peers that are not known yet.
  std::shared_ptr<InputBudget> unknown;
};

class WEFT_ANY_THREAD InputAccount {
 public:
  // Bytes are passed on to the budgets in steps of this size.
  static constexpr size_t kStep = size_t{64} << 10;
  // A connection that holds no more than this need not ask.
  static constexpr size_t kUnasked = size_t{128} << 10;

  explicit InputAccount(InputBudgets budgets);
  ~InputAccount();
  InputAccount(const InputAccount&) = delete;
  InputAccount& operator=(const InputAccount&) = delete;

  // Counts `n` bytes that are to be held, unless they are over a limit.
  absl::Status TryAdd(size_t n) {
    const size_t before = held();
    if (known() && !MustAsk(before, n)) {
      Add(n);
      return absl::OkStatus();
    }
    return Ask(before, n);
  }
  // Counts bytes that are held already.
  void Add(size_t n) { Moved(held_.fetch_add(n, std::memory_order_relaxed), n, /*more=*/true); }
  void Remove(size_t n) { Moved(held_.fetch_sub(n, std::memory_order_relaxed), n, /*more=*/false); }
  size_t held() const { return held_.load(std::memory_order_relaxed); }

  bool known() const { return known_.load(std::memory_order_relaxed); }
  // The peer is known from now on.
  void SetKnown();

 private:
  static size_t Steps(size_t held) { return held / kStep * kStep; }
  static bool MustAsk(size_t before, size_t n) {
    return before + n > kUnasked && Steps(before + n) != Steps(before);
  }
  absl::Status Ask(size_t before, size_t n);
  void Moved(size_t before, size_t n, bool more) {
    const size_t now = more ? before + n : before - n;
    if (Steps(before) != Steps(now)) PassOn(Steps(before), Steps(now));
    if (!known_.load(std::memory_order_relaxed)) CountUnknown(before, now);
  }
  void PassOn(size_t before, size_t now);
  void CountUnknown(size_t before, size_t now);

  const InputBudgets budgets_;
  std::atomic<size_t> held_{0};
  std::atomic<bool> known_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_INPUT_ACCOUNT_H_
