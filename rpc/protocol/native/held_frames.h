// Frames of a peer that came before its verdict: kept unread, served afterwards. HandshakePhase
// makes it for the first such frame.
//
//   Keep ──► whole frames, each with the time at which it came ──► served, or refused
//
// They keep the order of the wire. A frame's meaning is examined only when it may be answered.
//
// Threads  value; the session's loop
// Owns     copies of the frames' bytes
#ifndef WEFT_RPC_PROTOCOL_NATIVE_HELD_FRAMES_H_
#define WEFT_RPC_PROTOCOL_NATIVE_HELD_FRAMES_H_

#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "weft/core/block.h"
#include "weft/core/clock.h"

namespace weft::internal::native {

class HeldFrames {
 public:
  // At this many bytes reading stops. The last read may bring more: at most one read's bytes and
  // one frame.
  static constexpr size_t kMaxBytes = size_t{64} << 10;

  // Cost of a frame besides its bytes, since a peer may send many small ones.
  static constexpr size_t kCost = 64;

  struct Frame {
    MonoTime came;
    BlockRef block;
    size_t size;
  };

  // Copies a frame. False: no memory.
  [[nodiscard]] bool Keep(std::string_view frame, MonoTime came) {
    BlockRef block = BlockRef::TryNew(frame.size());
    if (!block) return false;
    std::memcpy(block->data(), frame.data(), frame.size());
    frames_.push_back({came, std::move(block), frame.size()});
    bytes_ += frame.size() + kCost;
    return true;
  }
  bool full() const { return bytes_ >= kMaxBytes; }
  size_t bytes() const { return bytes_; }
  const std::vector<Frame>& frames() const { return frames_; }

 private:
  std::vector<Frame> frames_;
  size_t bytes_ = 0;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_HELD_FRAMES_H_
