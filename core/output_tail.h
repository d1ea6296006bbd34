// The block at the end of an output queue, in which small appends run together.
//
//   [ used, some of it queued still | room ]
//
// Blocks grow with what is written, so that a connection with small calls holds little.
//
// Threads  one at a time: under the queue's mutex
// Owns     a reference to the block; what is queued has its own
// Errors   TryReserve, TryBlock: null where there is no memory
#ifndef WEFT_CORE_OUTPUT_TAIL_H_
#define WEFT_CORE_OUTPUT_TAIL_H_

#include <cstddef>

#include "weft/core/block.h"
#include "weft/core/block_pool.h"

namespace weft::internal {

class OutputTail {
 public:
  // `blocks`: where larger blocks come from; outlives this; null: from malloc.
  explicit OutputTail(BlockPool* blocks) : blocks_(blocks) {}
  OutputTail(const OutputTail&) = delete;
  OutputTail& operator=(const OutputTail&) = delete;

  // Room for `n` contiguous bytes, valid until the next call. Null: there is no memory for a block
  // of Block::kMapFrom and more.
  char* TryReserve(size_t n) {
    if (!block_ || block_->capacity() - used_ < n) return ReserveInNewBlock(n);
    return block_->data() + used_;
  }
  // The same for fewer, of which there is always room.
  char* Reserve(size_t n);
  // `n` bytes of the room have been written. Says where they begin.
  const char* Use(size_t n) {
    const char* const data = block_->data() + used_;
    used_ += n;
    return data;
  }
  const BlockRef& block() const { return block_; }

  // Nothing is queued any more: the block is filled again. True: it was a small one, and is gone.
  bool SetAllWritten() {
    if (block_ && block_->Sole()) used_ = 0;  // nobody refers to its bytes
    if (!small_) return false;
    Reset();
    return true;
  }
  // The next blocks may be small ones again.
  void Trim() {
    small_left_ = kSmallBlocks;
    Reset();
  }
  void Reset() {
    small_ = false;
    block_.reset();
    used_ = 0;
  }

  // A block from where the tail's come from.
  BlockRef TryBlock(size_t size) {
    return blocks_ != nullptr ? blocks_->TryGet(size) : BlockRef::TryNew(size);
  }

 private:
  // The first words of a connection, or a ping and an answer to one: what an idle connection has
  // written leaves no block behind.
  static constexpr size_t kSmallBlock = 256 - sizeof(Block);
  static constexpr int kSmallBlocks = 2;
  // Each next one is so many times larger.
  static constexpr size_t kFirstBlock = 512 - sizeof(Block);
  static constexpr size_t kGrowth = 8;
  static constexpr size_t kLargestBlock = (64 << 10) - sizeof(Block);

  char* ReserveInNewBlock(size_t n);
  size_t NextBlock(size_t n);

  BlockPool* const blocks_;
  BlockRef block_;
  size_t used_ = 0;
  int small_left_ = kSmallBlocks;  // blocks that may be small, since Trim
  bool small_ = false;             // block_ is such a one
};

}  // namespace weft::internal

#endif  // WEFT_CORE_OUTPUT_TAIL_H_
