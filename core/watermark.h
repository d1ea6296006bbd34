// High and low marks with hysteresis, as arithmetic: above `high` until at or below `low`.
//
// Threads  value
#ifndef WEFT_CORE_WATERMARK_H_
#define WEFT_CORE_WATERMARK_H_

#include <cstddef>

#include "weft/core/requirements.h"

namespace weft::internal {

class Watermark {
 public:
  Watermark(size_t low, size_t high) : low_(low), high_(high) {}

  // Takes the new level; true when it changed sides.
  bool Update(size_t level) {
    const bool was = above_;
    above_ = above_ ? level > low_ : level > high_;
    return above_ != was;
  }
  bool above() const { return above_; }

 private:
  const size_t low_, high_;
  bool above_ = false;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_WATERMARK_H_
