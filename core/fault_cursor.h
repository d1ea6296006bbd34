// Goes along one direction's bytes and says what its FaultScript does with each write and read.
//
// Threads  value
#ifndef WEFT_CORE_FAULT_CURSOR_H_
#define WEFT_CORE_FAULT_CURSOR_H_

#include <cstddef>
#include <cstdint>

#include "weft/core/clock.h"
#include "weft/core/fault_script.h"

namespace weft::internal {

class FaultCursor {
 public:
  // The outcome of one write.
  struct Written {
    size_t taken = 0;     // of the bytes offered, from the first
    size_t arriving = 0;  // of those taken, from the first; the others vanish
    Nanos delay{};
    bool cut = false;  // behind the bytes taken the connection is reset
  };

  FaultCursor() : FaultCursor(FaultScript()) {}
  // Positions count from here.
  explicit FaultCursor(const FaultScript& script);

  // `offered` bytes, more than 0, for which there is room.
  Written Write(size_t offered);
  // True once drop_from is reached: bytes written from now on vanish, and so does the news of a
  // close.
  bool silent() const { return position_ >= script_.drop_from; }
  // The delay of what carries no bytes, such as a close.
  Nanos DrawDelay();

  // How much of `offered` bytes one read gives, and when the next read may come.
  size_t Read(size_t offered) const;
  Nanos read_every() const { return read_every_; }
  // How long so many bytes are on the wire before the next may follow.
  Nanos WireTime(size_t bytes) const;

 private:
  FaultScript script_;
  Nanos delay_;
  Nanos delay_span_;
  Nanos read_every_;
  uint64_t position_ = 0;
  uint64_t random_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_FAULT_CURSOR_H_
