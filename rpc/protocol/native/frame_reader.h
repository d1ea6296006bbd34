// Checks frames before anything is believed: headers against limits and reserved bits, and the
// sections of requests and responses against their lengths.
//
// Threads  value; functions without state
// Errors   a FrameError names what is wrong; the connection is closed with it, for framing is lost
#ifndef WEFT_RPC_PROTOCOL_NATIVE_FRAME_READER_H_
#define WEFT_RPC_PROTOCOL_NATIVE_FRAME_READER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "weft/rpc/protocol/native/frame_format.h"

namespace weft::native {

enum class FrameError : uint8_t {
  kNone,
  kTooLong,         // longer than the frame limit
  kUnknownType,     // a type this version does not know
  kReservedBits,    // a flag that the type must not have
  kBadSection,      // a section runs past the frame's end, or the frame is too short for its type
  kBadMessageSize,  // the whole length that MORE announces is smaller than the first piece
  kBadCallNumber,   // a call's number with its highest bit set
};

// A request's sections; views into the frame.
struct RequestFrame {
  uint64_t timeout_us = 0;       // 0: none
  std::string_view method_name;  // only with NAMED
  std::string_view metadata;
  uint32_t whole_size = 0;   // of the message; its size here without MORE
  std::string_view message;  // this frame's part
};

struct ResponseFrame {
  uint32_t handler_us = 0;
  std::string_view metadata;
  std::string_view error_message;  // of a status that is not OK
  std::string_view error_details;
  uint32_t whole_size = 0;
  std::string_view message;
};

class FrameReader {
 public:
  static FrameError CheckHeader(const FrameHeader& header, size_t max_frame);
  static FrameError ReadRequest(const FrameHeader& header, std::string_view body,
                                RequestFrame* out);
  static FrameError ReadResponse(const FrameHeader& header, std::string_view body,
                                 ResponseFrame* out);
  static std::string_view Describe(FrameError error);
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_FRAME_READER_H_
