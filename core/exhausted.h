// Statuses for what a machine has run out of: descriptors, memory, threads. Each names the limit
// that was met and its value here, for whoever must raise it.
//
// Threads  any; functions without state
// Errors   RESOURCE_EXHAUSTED where something has run out, else what errno stands for
#ifndef WEFT_CORE_EXHAUSTED_H_
#define WEFT_CORE_EXHAUSTED_H_

#include <string_view>

#include "absl/status/status.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class WEFT_ANY_THREAD Exhausted {
 public:
  // The Status of a call that could not make a descriptor. `error` is its errno; `what` could not
  // be done.
  static absl::Status Descriptors(int error, std::string_view what);
  // The Status of a thread that could not be started.
  static absl::Status Threads(int error, std::string_view what);
};

}  // namespace weft::internal

#endif  // WEFT_CORE_EXHAUSTED_H_
