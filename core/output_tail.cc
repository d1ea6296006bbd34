#include "weft/core/output_tail.h"

#include <algorithm>
#include <utility>

namespace weft::internal {

size_t OutputTail::NextBlock(size_t n) {
  // Only the first blocks since Trim: a connection with traffic would else make a new block for
  // each write.
  small_ = !block_ && n <= kSmallBlock && small_left_ > 0;
  if (small_) {
    --small_left_;
    return kSmallBlock;
  }
  small_left_ = 0;
  const bool grows = block_ && block_->capacity() >= kFirstBlock;
  return std::max(n, grows ? std::min(block_->capacity() * kGrowth, kLargestBlock) : kFirstBlock);
}

char* OutputTail::ReserveInNewBlock(size_t n) {
  const size_t size = NextBlock(n);
  BlockRef block = TryBlock(size);
  // Where there is no memory for a block of the usual size there may be some for these bytes alone.
  if (!block && size > n) block = TryBlock(n);
  if (!block) return nullptr;
  block_ = std::move(block);
  used_ = 0;
  return block_->data();
}

char* OutputTail::Reserve(size_t n) {
  if (char* const room = TryReserve(n)) return room;
  block_ = BlockRef::New(n);  // which is small, or fails
  used_ = 0;
  return block_->data();
}

}  // namespace weft::internal
