// A reference-counted piece of memory that input, output and messages share.
//
//   Block ──► [ refs | capacity | bytes … ]       BlockRef counts; Slice is a BlockRef with a range
//   of its bytes
//
// Bytes below what somebody has handed out are never changed again, so slices of one block may be
// read by any thread while its owner goes on filling the rest.
//
// Threads  value; the count is atomic, the bytes are as said above
// Owns     its memory, freed with the last BlockRef
// Errors   none; running out of memory ends the process, as everywhere in C++
#ifndef WEFT_CORE_BLOCK_H_
#define WEFT_CORE_BLOCK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

namespace weft {

class Block {
 public:
  static Block* New(size_t capacity) {
    void* memory = ::operator new(sizeof(Block) + capacity);
    return new (memory) Block(capacity);
  }
  char* data() { return reinterpret_cast<char*>(this + 1); }
  size_t capacity() const { return capacity_; }

  void Ref() { refs_.fetch_add(1, std::memory_order_relaxed); }
  void Unref() {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      this->~Block();
      ::operator delete(this);
    }
  }
  // True when the caller's reference is the only one: what others did with the bytes is over.
  bool Sole() const { return refs_.load(std::memory_order_acquire) == 1; }

 private:
  explicit Block(size_t capacity) : capacity_(capacity) {}
  ~Block() = default;

  std::atomic<uint32_t> refs_{1};
  const size_t capacity_;
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
  void reset() {
    if (Block* old = std::exchange(block_, nullptr)) old->Unref();
  }
  Block* get() const { return block_; }
  Block* operator->() const { return block_; }
  explicit operator bool() const { return block_ != nullptr; }

 private:
  Block* block_ = nullptr;
};

}  // namespace weft

#endif  // WEFT_CORE_BLOCK_H_
