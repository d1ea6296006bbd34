// A reference-counted piece of memory that input, output and messages share.
//
//   Block ──► [ home | refs | capacity | bytes … ]     BlockRef counts; Slice is a
//                                                      BlockRef with a range of its bytes
//
// Bytes below what somebody has handed out are never changed again, so slices of one block may be
// read by any thread while its owner goes on filling the rest.
//
// Small blocks come from malloc. From kMapFrom bytes on, header included, a block is a mapping of
// its own, which goes back to the system as soon as it is freed; from kHugeFrom on it is aligned to
// huge pages and asks for them.
//
// Threads  value; the count is atomic, the bytes are as said above
// Owns     its memory; the last BlockRef gives it back to its home (a BlockPool), or frees it
// Errors   New throws std::bad_alloc; TryNew returns null where a mapping cannot be had, and throws
//          only for small blocks
#ifndef WEFT_CORE_BLOCK_H_
#define WEFT_CORE_BLOCK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "weft/core/requirements.h"

namespace weft::internal {

class Block;

// The place that a block goes back to when the last reference to it has gone.
class BlockHome {
 public:
  // Any thread. The block is the home's again: to be given out once more, or freed.
  virtual void TakeBack(Block* block) = 0;

 protected:
  ~BlockHome() = default;
};

class Block {
 public:
  // Bytes, with the header.
  static constexpr size_t kMapFrom = 64 << 10;
  static constexpr size_t kHugeFrom = 2 << 20;

  static Block* New(size_t capacity, BlockHome* home = nullptr);
  // Null when there is no memory for a block of kMapFrom and more.
  static Block* TryNew(size_t capacity, BlockHome* home = nullptr);
  // Called by its home, when there is no reference to the block any more: gives the memory back.
  static void Free(Block* block);

  char* data() { return reinterpret_cast<char*>(this + 1); }
  size_t capacity() const { return capacity_; }
  // Bytes of memory, header included; the kernel gives only pages that were touched.
  size_t footprint() const { return sizeof(Block) + capacity_; }

  void Ref() { refs_.fetch_add(1, std::memory_order_relaxed); }
  void Unref() {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (home_ != nullptr) {
      home_->TakeBack(this);
    } else {
      Free(this);
    }
  }
  // Called by its home: sets the first reference of the block's next life.
  void Revive() { refs_.store(1, std::memory_order_relaxed); }
  // True when the caller's reference is the only one: what others did with the bytes is over.
  bool Sole() const { return refs_.load(std::memory_order_acquire) == 1; }

 private:
  Block(size_t capacity, BlockHome* home) : home_(home), capacity_(capacity) {}
  ~Block() = default;

  BlockHome* const home_;  // null: none
  const size_t capacity_;
  std::atomic<uint32_t> refs_{1};
};

class BlockRef {
 public:
  BlockRef() = default;
  // Takes over the reference that New made.
  explicit BlockRef(Block* block) : block_(block) {}
  BlockRef(const BlockRef& o) : block_(o.block_) {
    if (block_ != nullptr) block_->Ref();
  }
  BlockRef(BlockRef&& o) noexcept : block_(std::exchange(o.block_, nullptr)) {}
  BlockRef& operator=(BlockRef o) noexcept {
    std::swap(block_, o.block_);
    return *this;
  }
  ~BlockRef() { reset(); }

  static BlockRef New(size_t capacity) { return BlockRef(Block::New(capacity)); }
  // Empty when there is no memory for a block of Block::kMapFrom and more.
  static BlockRef TryNew(size_t capacity) { return BlockRef(Block::TryNew(capacity)); }
  void reset() {
    if (Block* old = std::exchange(block_, nullptr)) old->Unref();
  }
  Block* get() const { return block_; }
  Block* operator->() const { return block_; }
  explicit operator bool() const { return block_ != nullptr; }

 private:
  Block* block_ = nullptr;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_BLOCK_H_
