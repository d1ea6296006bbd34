// Bytes in one piece of memory: filled at the end, taken from the front, never zeroed.
//
// Threads  value
// Owns     its memory; moving leaves an empty block behind
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>

#include "bench/peers/raw/frame.h"

namespace weft::bench {

class FrameBlock {
 public:
  FrameBlock() = default;
  explicit FrameBlock(size_t capacity) : memory_(new char[capacity]), capacity_(capacity) {}

  FrameBlock(FrameBlock&& other) noexcept { Swap(other); }
  FrameBlock& operator=(FrameBlock&& other) noexcept {
    Swap(other);
    return *this;
  }

  const char* begin() const { return memory_.get() + begin_; }
  size_t size() const { return end_ - begin_; }
  size_t capacity() const { return capacity_; }
  char* tail() { return memory_.get() + end_; }
  size_t room() const { return capacity_ - end_; }

  void Filled(size_t bytes) { end_ += bytes; }
  void Take(size_t bytes) {
    begin_ += bytes;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  void Cut(size_t bytes) { end_ -= bytes; }
  void Append(const char* bytes, size_t count) {
    std::memcpy(tail(), bytes, count);
    end_ += count;
  }

  // Makes space for `wanted` bytes in all, those held included. A small remainder is moved to the
  // front even when it would fit, so that the next read can be a large one.
  void Reserve(size_t wanted) {
    const bool fits = capacity_ - begin_ >= wanted && room() > 0;
    if (fits && (begin_ == 0 || size() > kMoveAtMost)) return;
    if (wanted > capacity_) {
      FrameBlock larger(wanted);
      larger.Append(begin(), size());
      Swap(larger);
    } else {
      std::memmove(memory_.get(), begin(), size());
      end_ = size();
      begin_ = 0;
    }
  }

  // Bytes of the complete frames at the front. `wanted` becomes what the frame after them takes.
  // False: no frame may be so long.
  bool Measure(size_t& whole, size_t& wanted) const {
    whole = 0;
    wanted = kFramePrefix;
    while (size() - whole >= kFramePrefix) {
      const size_t payload = FramePayload(begin() + whole);
      if (payload > kFrameLimit) return false;
      const size_t frame = kFramePrefix + payload;
      if (size() - whole < frame) {
        wanted = frame;
        break;
      }
      whole += frame;
    }
    return true;
  }

 private:
  static constexpr size_t kMoveAtMost = 4096;

  void Swap(FrameBlock& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(capacity_, other.capacity_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
  }

  std::unique_ptr<char[]> memory_;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace weft::bench
