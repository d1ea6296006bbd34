#include "weft/core/output_segments.h"

#include <cstring>

#include "weft/core/check.h"
#include "weft/core/try_allocate.h"

namespace weft::internal {

bool OutputSegments::TryPush(Segment segment) {
  return TryAllocate([&] { segments_.push_back(std::move(segment)); });
}

int OutputSegments::Gather(iovec* pieces, int max) const {
  int count = 0;
  for (size_t i = first_; i < segments_.size() && count < max; ++i, ++count) {
    pieces[count] = {const_cast<char*>(segments_[i].data), segments_[i].size};
  }
  return count;
}

void OutputSegments::Take(size_t n) {
  while (n > 0) {
    WEFT_DCHECK(first_ < segments_.size());
    Segment& segment = segments_[first_];
    if (n < segment.size) {
      segment.data += n;
      segment.size -= n;
      break;
    }
    n -= segment.size;
    // References go as soon as their bytes are written, not when the vector is cleaned up: they may
    // hold a large message.
    segment.block.reset();
    segment.keeper.reset();
    ++first_;
  }
  if (first_ == segments_.size()) {
    Clear();
  } else if (first_ > kMaxWritten && first_ * 2 > segments_.size()) {
    // Written ones go in bulk, when they are most of all: so each is moved once on average.
    segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

bool OutputSegments::OwnBorrowed(OutputTail& blocks) {
  for (size_t i = first_; i < segments_.size(); ++i) {
    Segment& segment = segments_[i];
    if (segment.block || segment.keeper != nullptr) continue;
    segment.block = blocks.TryBlock(segment.size);
    if (!segment.block) return false;
    std::memcpy(segment.block->data(), segment.data, segment.size);
    segment.data = segment.block->data();
  }
  return true;
}

}  // namespace weft::internal
