// The one place where code of the user's is called without its exceptions coming through: a
// callback, a listener, a hook, an executor.
//
// Threads  any
// Errors   what is thrown is counted and logged by CallbackFaults, and goes no further
#ifndef WEFT_CORE_GUARDED_CALL_H_
#define WEFT_CORE_GUARDED_CALL_H_

#include <utility>

#include "weft/core/callback_faults.h"

namespace weft::internal {

// `faults`: whose log and count; null: this thread's. `what`: what is called, for the log.
template <typename F>
void GuardedCall(CallbackFaults* faults, const char* what, F&& f) noexcept {
  try {
    std::forward<F>(f)();
  } catch (...) {
    CallbackFaults::Caught(faults, what);
  }
}

template <typename F>
void GuardedCall(const char* what, F&& f) noexcept {
  GuardedCall(nullptr, what, std::forward<F>(f));
}

}  // namespace weft::internal

#endif  // WEFT_CORE_GUARDED_CALL_H_
