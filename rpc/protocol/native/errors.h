// The texts of errors that more than one part of the native protocol makes, each in one place.
//
// Threads  value; functions without state
// Errors   what they return: a code of absl::StatusCode, and a text that names size, limit and
//          setting
#ifndef WEFT_RPC_PROTOCOL_NATIVE_ERRORS_H_
#define WEFT_RPC_PROTOCOL_NATIVE_ERRORS_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "weft/rpc/protocol/native/frame_format.h"
#include "weft/rpc/protocol/native/frame_reader.h"

namespace weft::native {

// Whose limit it is: for the names of sides and of their settings.
enum class Side : uint8_t { kClient, kServer };

class Errors {
 public:
  // "the request of 9 bytes is over the limit of 8 (max_message_bytes of the server)"
  static absl::Status TooLarge(std::string_view what, size_t size, size_t limit,
                               std::string_view setting);
  // The output queue would hold more than max_output_bytes: `waiting` bytes, with `size` more of a
  // request of a client, or of a reply of a server.
  static absl::Status OutputFull(Side side, std::string_view peer, size_t waiting, size_t size,
                                 size_t limit);
  // What breaks a frame, with the frame's header.
  static std::string BrokenFrame(FrameError error, const FrameHeader& header, size_t max_frame);
  // Why a connection was closed by this side.
  static absl::Status Closed(std::string_view peer, std::string_view why);
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_ERRORS_H_
