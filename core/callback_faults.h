// Exceptions that leave code of the user's: callbacks, listeners, hooks, executors. Each is counted
// and logged; nothing of weft is unwound by it.
//
// A Runtime has one, which its I/O threads and workers name as theirs (Scope). Where a callback
// runs on a thread of the application, its closure brings the one of the thread that handed it
// over.
//
// Threads  any
// Owns     its log, and the limit of lines: ten a second
#ifndef WEFT_CORE_CALLBACK_FAULTS_H_
#define WEFT_CORE_CALLBACK_FAULTS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "weft/core/log.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class WEFT_ANY_THREAD CallbackFaults {
 public:
  explicit CallbackFaults(Log log) : log_(std::move(log)) {}
  CallbackFaults(const CallbackFaults&) = delete;
  CallbackFaults& operator=(const CallbackFaults&) = delete;

  // Inside a catch block: counts what was thrown by `what` ("a call's callback") and logs it. Null:
  // this thread's; where it has none, standard error is told.
  static void Caught(CallbackFaults* faults, const char* what) noexcept;

  // Exceptions so far.
  int64_t count() const { return count_.load(std::memory_order_relaxed); }

  // Those of the runtime whose thread this is; null on the application's threads.
  static std::shared_ptr<CallbackFaults> Here();

  // Makes them this thread's.
  class Scope {
   public:
    explicit Scope(std::shared_ptr<CallbackFaults> faults);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    const std::shared_ptr<CallbackFaults> faults_;
    const std::shared_ptr<CallbackFaults>* const outer_;
  };

 private:
  const Log log_;
  LogLimiter limiter_{10};
  std::atomic<int64_t> count_{0};
};

}  // namespace weft::internal

#endif  // WEFT_CORE_CALLBACK_FAULTS_H_
