// The one loop that all runs of a fuzz target use; it ends with the process.
//
// Threads  any but the loop's
#ifndef WEFT_TESTS_FUZZ_FUZZ_LOOP_H_
#define WEFT_TESTS_FUZZ_FUZZ_LOOP_H_

#include <functional>

#include "weft/core/loop_group.h"

namespace weft::fuzz {

internal::IoThread& FuzzLoop();

// Runs it on that loop, and returns when it has.
void RunOnLoop(const std::function<void()>& closure);

}  // namespace weft::fuzz

#endif  // WEFT_TESTS_FUZZ_FUZZ_LOOP_H_
