// A thread that waits for something, and runs meanwhile what belongs to that: BlockOn's.
//
// While it waits it is the thread's current executor. So a coroutine that is begun inside Run, and
// waits, goes on here, and not on an I/O thread, nor on a worker that the waiting may have taken.
//
// Threads  Run: the thread that waits, once. Execute, End: any
// Owns     what was handed over and has not run
// Ends     Run returns behind End; what is handed over after that is destroyed
#ifndef WEFT_CORE_BLOCKED_THREAD_H_
#define WEFT_CORE_BLOCKED_THREAD_H_

#include <deque>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "weft/core/executor.h"
#include "weft/core/mutex.h"

namespace weft::internal {

class BlockedThread final : public Executor {
 public:
  BlockedThread() = default;
  ~BlockedThread() WEFT_EXCLUDES(mu_);
  BlockedThread(const BlockedThread&) = delete;
  BlockedThread& operator=(const BlockedThread&) = delete;

  // Why this thread must not wait, or OK. `what`: who asks, for the text.
  static absl::Status CheckMayWait(const char* what);

  // Calls `begin`, and then what was handed over, until End.
  void Run(absl::FunctionRef<void()> begin) WEFT_EXCLUDES(mu_);
  void End() WEFT_EXCLUDES(mu_);

  void Execute(absl::AnyInvocable<void() &&> closure) override WEFT_EXCLUDES(mu_);

 private:
  using Closures = std::deque<absl::AnyInvocable<void() &&>>;

  // The next one; null: End was called.
  absl::AnyInvocable<void() &&> WaitForNext() WEFT_EXCLUDES(mu_);

  Mutex mu_;
  CondVar woken_;
  Closures closures_ WEFT_GUARDED_BY(mu_);
  bool ended_ WEFT_GUARDED_BY(mu_) = false;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_BLOCKED_THREAD_H_
