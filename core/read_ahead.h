// Bytes that were read from a transport before it was given to the one that reads it from now on:
// they come first.
//
// Threads  value
// Owns     a share of the block in which they stand
#ifndef WEFT_CORE_READ_AHEAD_H_
#define WEFT_CORE_READ_AHEAD_H_

#include <cstddef>

#include "weft/core/block.h"

namespace weft::internal {

struct ReadAhead {
  BlockRef block;
  const char* data = nullptr;  // in `block`
  size_t size = 0;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_READ_AHEAD_H_
