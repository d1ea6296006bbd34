// Large blocks used again: the pages of a new one cost the kernel more to clear than it costs to
// fill them.
//
// It keeps a reference to the last few it handed out and hands one out again when nobody else
// refers to it any more, whichever thread let go of it.
//
// Threads  loop-only; the blocks travel
// Owns     a reference to at most kKept blocks, of at most kMostBytes together
#ifndef WEFT_CORE_LARGE_BLOCKS_H_
#define WEFT_CORE_LARGE_BLOCKS_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "weft/core/block.h"
#include "weft/core/thread_contract.h"

namespace weft {

class LargeBlocks {
 public:
  static constexpr size_t kFrom = 128 << 10;
  static constexpr size_t kKept = 32;
  static constexpr size_t kMostBytes = 16 << 20;

  // Of at least `size` bytes.
  BlockRef Get(size_t size) LOOP_ONLY {
    if (size < kFrom || size > kMostBytes / 2) return BlockRef::New(size);
    for (const BlockRef& block : kept_) {
      if (block->capacity() >= size && block->capacity() / 2 <= size && block->Sole()) return block;
    }
    BlockRef made = BlockRef::New(size);
    Keep(made);
    return made;
  }
  // A block that others may still refer to: handed out again when they do not.
  void Keep(BlockRef block) LOOP_ONLY {
    bytes_ += block->capacity();
    kept_.push_back(std::move(block));
    while (kept_.size() > kKept || bytes_ > kMostBytes) {
      bytes_ -= kept_.front()->capacity();
      kept_.erase(kept_.begin());
    }
  }
  // One of exactly that size, no longer kept: the caller's reference is the only one.
  BlockRef Take(size_t size) LOOP_ONLY {
    for (auto it = kept_.begin(); it != kept_.end(); ++it) {
      if ((*it)->capacity() != size || !(*it)->Sole()) continue;
      BlockRef block = std::move(*it);
      bytes_ -= size;
      kept_.erase(it);
      return block;
    }
    return BlockRef::New(size);
  }
  // For a loop gone quiet.
  void Trim() LOOP_ONLY {
    kept_.clear();
    bytes_ = 0;
  }

 private:
  std::vector<BlockRef> kept_ LOOP_OWNED;
  size_t bytes_ LOOP_OWNED = 0;
};

}  // namespace weft

#endif  // WEFT_CORE_LARGE_BLOCKS_H_
