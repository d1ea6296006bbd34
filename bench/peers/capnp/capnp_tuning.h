// Settings that both sides of capnp use for speed.
//
// Threads  any thread
#pragma once

#include <cstddef>
#include <cstdint>

#include <capnp/message.h>

namespace weft::bench {

// Turns of a kj loop after which it looks for new I/O. kj's default is never while there is work,
// and one connection that always has some starves the others.
inline constexpr uint32_t kTurnsBetweenPolls = 1000;

// Size of a request or result that carries `payload` bytes: one segment of the right size instead
// of 8 KiB zeroed for each message, or a second segment for a large one.
inline capnp::MessageSize SizeHint(size_t payload) {
  constexpr uint64_t kFrameWords = 4;  // root pointer, struct, rounding
  return {payload / sizeof(capnp::word) + kFrameWords, 0};
}

}  // namespace weft::bench
