// How many attempts beyond the first a channel may make: a bucket of tokens, as gRPC's A6.
//
//   full: `tokens`     an attempt that fails with a code of the policy, and each hedge: - 1
//                      a call that succeeds:                                          + per_success
//   attempts beyond the first start only while more than half is there
//
// So with T tokens and r for each success at most T / 2 + r x successes attempts beyond the first
// are made, however many calls fail: with the defaults 50, and one for ten calls that succeed. A
// server that is down for good gets T / 2 of them in all, and then one attempt a call.
//
// Threads  any
#ifndef WEFT_RPC_CLIENT_RETRY_BUDGET_H_
#define WEFT_RPC_CLIENT_RETRY_BUDGET_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "weft/core/thread_contract.h"
#include "weft/rpc/call/retry_policy.h"

namespace weft::internal {

class WEFT_ANY_THREAD RetryBudget {
 public:
  explicit RetryBudget(const RetryBudgetOptions& options)
      : full_(int64_t{std::clamp(options.tokens, 1, 1'000'000)} * kToken),
        per_success_(static_cast<int64_t>(std::clamp(options.per_success, 0.0, 1.0) *
                                          static_cast<double>(kToken))),
        now_(full_) {}

  // An attempt failed, or a hedge starts.
  void Take() { Add(-kToken); }
  // A call succeeded.
  void GiveBack() {
    if (now_.load(std::memory_order_relaxed) < full_) Add(per_success_);
  }
  // True if another attempt may start.
  bool Allows() const { return now_.load(std::memory_order_relaxed) > full_ / 2; }

 private:
  // Tokens are counted in thousandths, for a success gives back a fraction of one.
  static constexpr int64_t kToken = 1000;

  void Add(int64_t change) {
    int64_t was = now_.load(std::memory_order_relaxed);
    while (!now_.compare_exchange_weak(was, std::clamp<int64_t>(was + change, 0, full_),
                                       std::memory_order_relaxed)) {
    }
  }

  const int64_t full_, per_success_;
  std::atomic<int64_t> now_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_RETRY_BUDGET_H_
