// The memory that a loop reads into: one block that all its connections share, so that an idle
// connection holds no memory.
//
// A connection reads into space(), takes what it can use as slices of block(), copies an unfinished
// rest to itself, and calls Release with the bytes used. While nobody keeps a slice the same warm
// bytes are filled again and again.
//
// Threads  loop-only
// Owns     its block, shared with the slices made of it; refers to the loop's blocks and trimmer
#ifndef WEFT_CORE_INPUT_ARENA_H_
#define WEFT_CORE_INPUT_ARENA_H_

#include <cstddef>
#include <utility>

#include "weft/core/block.h"
#include "weft/core/block_pool.h"
#include "weft/core/idle_trimmer.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class InputArena {
 public:
  // The bytes of a block of 64 KiB, header included: a class of the pool.
  static constexpr size_t kBlock = (64 << 10) - sizeof(Block);
  // A block with less room than this is given up.
  static constexpr size_t kMinRoom = 16 << 10;
  static constexpr size_t kSmallBlock = 8 << 10;

  // `trimmer` hears of each read; may be null.
  explicit InputArena(BlockPool& blocks, IdleTrimmer* trimmer = nullptr)
      : blocks_(blocks), trimmer_(trimmer) {}

  // Where there is no memory for a block, a small one takes its place for one read.
  char* space() WEFT_LOOP_ONLY {
    if (!block_) {
      block_ = blocks_.TryGet(kBlock);
      size_ = block_ ? kBlock : kSmallBlock;
      if (!block_) block_ = BlockRef::New(kSmallBlock);
    }
    return block_->data() + used_;
  }
  size_t room() const WEFT_LOOP_ONLY { return size_ - used_; }
  const BlockRef& block() const WEFT_LOOP_ONLY { return block_; }

  // For what does not fit into the block.
  BlockPool& large() WEFT_LOOP_ONLY { return blocks_; }

  // A read came to something.
  void Active() WEFT_LOOP_ONLY {
    if (trimmer_ != nullptr) trimmer_->Active();
  }

  // `used` bytes of space() were filled and looked through.
  void Release(size_t used) WEFT_LOOP_ONLY {
    if (block_->Sole() && size_ == kBlock) {
      used_ = 0;
      return;
    }
    used_ += used;
    if (room() < kMinRoom) {
      block_.reset();
      used_ = 0;
      size_ = kBlock;
    }
  }

 private:
  BlockPool& blocks_;
  IdleTrimmer* const trimmer_;
  BlockRef block_ WEFT_LOOP_OWNED;
  size_t used_ WEFT_LOOP_OWNED = 0;
  size_t size_ WEFT_LOOP_OWNED = kBlock;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_INPUT_ARENA_H_
