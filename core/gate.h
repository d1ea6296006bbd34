// Counts what is under way, and tells when the last of it has ended.
//
//   Enter ──► under way ──► Leave
//
//   WhenEmpty ──► told at once when nothing is under way, else by the last Leave
//
// Enter and Leave are one read-modify-write each.
//
// Threads  any
// Owns     the callback until it runs
// Ends     the callback runs exactly once, inside WhenEmpty or inside the last Leave. The gate is
//          not touched any more then: the callback may destroy it
#ifndef WEFT_CORE_GATE_H_
#define WEFT_CORE_GATE_H_

#include <atomic>
#include <cstdint>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "weft/core/check.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class WEFT_ANY_THREAD Gate {
 public:
  using Callback = absl::AnyInvocable<void() &&>;

  Gate() = default;
  ~Gate() { WEFT_DCHECK(under_way() == 0); }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // One more is under way. After WhenEmpty only while another one is.
  void Enter() {
    [[maybe_unused]] const uint64_t before = state_.fetch_add(kOne, std::memory_order_relaxed);
    WEFT_DCHECK(before != kAwaited);
  }
  // The gate may be gone when this returns.
  void Leave() {
    // Acquires what WhenEmpty wrote, and what the others did before they left.
    if (state_.fetch_sub(kOne, std::memory_order_acq_rel) == kOne + kAwaited) Tell();
  }
  // Once in a gate's life.
  void WhenEmpty(Callback empty) {
    empty_ = std::move(empty);
    // The count and the mark are one number: either this sees that nobody is left, or the last one
    // that leaves sees the mark.
    if (state_.fetch_add(kAwaited, std::memory_order_acq_rel) == 0) Tell();
  }
  // WhenEmpty that waits until it is so.
  void WaitUntilEmpty() {
    Mutex mu;
    CondVar changed;
    bool is_empty = false;
    WhenEmpty([&] {
      // Told under the mutex: the waiter destroys all three once it has it.
      MutexLock lock(mu);
      is_empty = true;
      changed.NotifyOne();
    });
    MutexLock lock(mu);
    while (!is_empty) changed.Wait(mu);
  }

  // How many are under way; old when it returns.
  uint64_t under_way() const { return state_.load(std::memory_order_acquire) / kOne; }

 private:
  static constexpr uint64_t kAwaited = 1, kOne = 2;

  void Tell() {
    Callback empty = std::move(empty_);
    std::move(empty)();
  }

  std::atomic<uint64_t> state_{0};
  Callback empty_;  // written before kAwaited is set
};

}  // namespace weft::internal

#endif  // WEFT_CORE_GATE_H_
