// Memory for calls that end on the thread that made them, as calls do that are made in the callback
// of another: each thread keeps some of the memory that it was given back. (malloc keeps seven
// blocks of a size for its thread, which is few beside hundreds of calls in flight.)
//
// Threads  any
// Owns     what is kept, at most kKept of each size: 360 KiB a thread; freed when the thread ends
// Errors   none
#ifndef WEFT_RPC_CALL_CALL_MEMORY_H_
#define WEFT_RPC_CALL_CALL_MEMORY_H_

#include <cstddef>

#include "weft/core/requirements.h"

namespace weft::internal {

class CallMemory {
 public:
  // Larger ones are not kept.
  static constexpr size_t kSmall = 640;
  static constexpr size_t kLarge = 5 << 10;
  static constexpr size_t kKept = 64;

  static void* Take(size_t size);
  // May be another thread than the one that took it.
  static void Give(void* memory);
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_CALL_MEMORY_H_
