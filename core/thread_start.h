// Starts weft's threads: the only place that does, so that a machine without threads to spare is an
// error that is heard, and every thread has its name from its first instruction on.
//
// Threads  any
// Errors   RESOURCE_EXHAUSTED with the limits that there are on threads; nothing is thrown
// Ends     as a std::thread: its owner joins it
#ifndef WEFT_CORE_THREAD_START_H_
#define WEFT_CORE_THREAD_START_H_

#include <string>
#include <thread>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

// `name` is cut to the 15 letters that the kernel keeps. An exception that leaves `body` ends the
// process, as in any thread.
WEFT_ANY_THREAD absl::StatusOr<std::thread> StartThread(std::string name,
                                                        absl::AnyInvocable<void() &&> body);

}  // namespace weft::internal

#endif  // WEFT_CORE_THREAD_START_H_
