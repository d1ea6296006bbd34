// The one thing raw sends: a length, then so many bytes, unread.
//
//   | length (4, big endian) | payload |
//
// Replies come in the order of the requests, so no frame carries a name for its call.
//
// Threads  any thread
#pragma once

#include <arpa/inet.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace weft::bench {

inline constexpr size_t kFramePrefix = 4;
inline constexpr size_t kFrameLimit = size_t{64} << 20;  // of the payload

inline size_t FramePayload(const char* frame) {
  uint32_t length;
  std::memcpy(&length, frame, kFramePrefix);
  return ntohl(length);
}

inline void WriteFramePrefix(char* frame, size_t payload) {
  const uint32_t length = htonl(static_cast<uint32_t>(payload));
  std::memcpy(frame, &length, kFramePrefix);
}

}  // namespace weft::bench
