// Runs what may allocate much at once, and says whether there was memory for it.
//
//   if (!TryAllocate([&] { numbers.resize(n); })) return absl::ResourceExhaustedError("no memory");
//
// Only for what a failed allocation leaves as it was: vectors, strings, the maps of the standard
// library. Abseil's tables are not left so.
//
// Threads  any; a function without state
// Errors   false for std::bad_alloc; nothing else is caught
#ifndef WEFT_CORE_TRY_ALLOCATE_H_
#define WEFT_CORE_TRY_ALLOCATE_H_

#include <new>
#include <utility>

#include "weft/core/requirements.h"

namespace weft::internal {

template <typename F>
[[nodiscard]] bool TryAllocate(F&& f) {
  try {
    std::forward<F>(f)();
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace weft::internal

#endif  // WEFT_CORE_TRY_ALLOCATE_H_
