// Checks frames before any of their contents is used: headers against limits and reserved bits,
// sections of requests and responses against their lengths.
//
// Threads  value; functions without state
// Errors   a FrameError says what is wrong. The connection is closed, for framing is lost
#ifndef WEFT_RPC_PROTOCOL_NATIVE_FRAME_READER_H_
#define WEFT_RPC_PROTOCOL_NATIVE_FRAME_READER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "weft/rpc/protocol/native/frame_format.h"

namespace weft::internal::native {

enum class FrameError : uint8_t {
  kNone,
  kTooLong,         // longer than the frame limit
  kUnknownType,     // a type this version does not know
  kReservedBits,    // a flag that the type must not have
  kBadSection,      // a section runs past the frame's end, or the frame is too short for its type
  kBadMessageSize,  // a size that is announced does not fit the bytes
  kBadCallNumber,   // a call's number with its highest bit set
  kNoCredit,        // a WINDOW that adds nothing
  kNoCodec,         // a compressed message whose codec is 0
};

// The description and first bytes of a message; views into the frame.
struct Payload {
  uint8_t codec = 0;             // only with COMPRESSED
  uint32_t inflated_size = 0;    // of the message, likewise
  uint32_t attachment_size = 0;  // size of the attachment, which ends the whole
  uint32_t whole_size = 0;       // message and attachment; without MORE all of it is here
  std::string_view bytes;        // this frame's part

  uint32_t message_size() const { return whole_size - attachment_size; }
};

// A request's sections; views into the frame.
struct RequestFrame {
  uint64_t timeout_us = 0;       // 0: none
  std::string_view method_name;  // only with NAMED
  std::string_view metadata;
  Payload payload;
};

struct ResponseFrame {
  uint32_t handler_us = 0;
  std::string_view metadata;
  std::string_view error_message;  // of a status that is not OK
  std::string_view error_details;
  Payload payload;
};

class FrameReader {
 public:
  static FrameError CheckHeader(const FrameHeader& header, size_t max_frame) {
    // Fast path: nearly every frame is a request or response, and they allow the same flags.
    constexpr uint8_t kAllowed = AllowedFlags(FrameType::kRequest);
    static_assert(AllowedFlags(FrameType::kResponse) == kAllowed);
    const bool fine = (header.type == FrameType::kRequest || header.type == FrameType::kResponse) &&
                      (header.flags & ~kAllowed) == 0 && header.length <= max_frame &&
                      header.id >> 63 == 0;
    return fine ? FrameError::kNone : CheckAnyHeader(header, max_frame);
  }
  static FrameError ReadRequest(const FrameHeader& header, std::string_view body,
                                RequestFrame* out);
  static FrameError ReadResponse(const FrameHeader& header, std::string_view body,
                                 ResponseFrame* out);
  static FrameError ReadStreamMessage(const FrameHeader& header, std::string_view body,
                                      Payload* out);
  // The bytes that a WINDOW frame adds.
  static FrameError ReadWindow(std::string_view body, uint32_t* out);
  static std::string_view Describe(FrameError error);

 private:
  static FrameError CheckAnyHeader(const FrameHeader& header, size_t max_frame);
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_FRAME_READER_H_
