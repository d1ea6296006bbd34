// The pieces of memory that wait in an output queue, oldest first.
//
//   [written][written][ partly written ][ waiting ][ waiting ]
//                      ▲ Take goes on from here               ▲ Push
//
// Threads  one at a time: under the queue's mutex
// Owns     references to blocks and keepers; bytes without either are borrowed
// Errors   TryPush, OwnBorrowed: false where there is no memory
#ifndef WEFT_CORE_OUTPUT_SEGMENTS_H_
#define WEFT_CORE_OUTPUT_SEGMENTS_H_

#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "weft/core/block.h"
#include "weft/core/output_tail.h"

namespace weft::internal {

class OutputSegments {
 public:
  struct Segment {
    const char* data;
    size_t size;
    BlockRef block;
    std::shared_ptr<const void> keeper;
  };

  OutputSegments() = default;
  OutputSegments(const OutputSegments&) = delete;
  OutputSegments& operator=(const OutputSegments&) = delete;

  [[nodiscard]] bool TryPush(Segment segment);
  // Makes the newest segment longer, where `data` follows it in `block`.
  bool TryExtend(const Block* block, const char* data, size_t size) {
    if (empty()) return false;
    Segment& last = segments_.back();
    if (last.block.get() != block || last.data + last.size != data) return false;
    last.size += size;
    return true;
  }

  // Fills in the oldest ones, at most `max`, and says how many.
  int Gather(iovec* pieces, int max) const;
  // The oldest `n` bytes are written.
  void Take(size_t n);
  // Copies what is borrowed into blocks of `blocks`.
  [[nodiscard]] bool OwnBorrowed(OutputTail& blocks);

  // Compares places: a size would be divided out.
  bool empty() const {
    return segments_.begin() + static_cast<std::ptrdiff_t>(first_) == segments_.end();
  }
  void Clear() {
    segments_.clear();
    first_ = 0;
  }
  // Gives back memory that is not needed; nothing waits.
  void Trim() { segments_.shrink_to_fit(); }

 private:
  // So many written ones stay at most before the others are moved up.
  static constexpr size_t kMaxWritten = 1024;

  std::vector<Segment> segments_;
  size_t first_ = 0;  // segments before it are written
};

}  // namespace weft::internal

#endif  // WEFT_CORE_OUTPUT_SEGMENTS_H_
