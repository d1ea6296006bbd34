// The name that users of the loop's pool of blocks still know it by.
//
// Threads  as BlockPool
#ifndef WEFT_CORE_LARGE_BLOCKS_H_
#define WEFT_CORE_LARGE_BLOCKS_H_

#include "weft/core/block_pool.h"

namespace weft {

using LargeBlocks = BlockPool;

}  // namespace weft

#endif  // WEFT_CORE_LARGE_BLOCKS_H_
