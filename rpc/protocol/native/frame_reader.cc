#include "weft/rpc/protocol/native/frame_reader.h"

namespace weft::internal::native {
namespace {

// Any byte may stand in a header, so the value need not be one of the enum's.
bool Known(FrameType type) {
  switch (type) {
    case FrameType::kRequest:
    case FrameType::kResponse:
    case FrameType::kData:
    case FrameType::kCancel:
    case FrameType::kPing:
    case FrameType::kGoAway:
    case FrameType::kGoAwayAck:
    case FrameType::kHello:
    case FrameType::kWindow:
    case FrameType::kHeaders:
    case FrameType::kMessage:
      return true;
  }
  return false;
}

// True if `id` is a call's number. Sessions use the highest bit of such numbers to tell the peer's
// calls from their own, so a peer must not set it.
bool NumbersACall(FrameType type) {
  return type == FrameType::kRequest || type == FrameType::kResponse || type == FrameType::kData ||
         type == FrameType::kCancel || type == FrameType::kMessage || type == FrameType::kWindow ||
         type == FrameType::kHeaders;
}

// Reads numbers and runs of bytes off the front; false: not enough bytes.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : left_(bytes) {}
  template <typename T>
  bool Number(T* out) {
    if (left_.size() < sizeof(T)) return false;
    *out = LoadWire<T>(left_.data());
    left_.remove_prefix(sizeof(T));
    return true;
  }
  bool Bytes(size_t n, std::string_view* out) {
    if (left_.size() < n) return false;
    *out = left_.substr(0, n);
    left_.remove_prefix(n);
    return true;
  }
  std::string_view rest() const { return left_; }

 private:
  std::string_view left_;
};

bool ReadMetadata(const FrameHeader& header, Cursor* cursor, std::string_view* metadata) {
  if (!header.has(kMetadata)) return true;
  uint32_t size;
  return cursor->Number(&size) && cursor->Bytes(size, metadata);
}

// Flags that put a section in front of the message.
constexpr uint8_t kSections = kMore | kCompressed | kAttachment;

// Reads the sections in front of the message, and this frame's part of it.
FrameError ReadSlowPayload(const FrameHeader& header, Cursor* cursor, Payload* out) {
  if (header.has(kCompressed) &&
      !(cursor->Number(&out->codec) && cursor->Number(&out->inflated_size))) {
    return FrameError::kBadSection;
  }
  // 0 means "not compressed", which is said by the missing flag alone.
  if (header.has(kCompressed) && out->codec == 0) return FrameError::kNoCodec;
  if (header.has(kAttachment) && !cursor->Number(&out->attachment_size))
    return FrameError::kBadSection;
  if (header.has(kMore) && !cursor->Number(&out->whole_size)) return FrameError::kBadSection;
  out->bytes = cursor->rest();
  // protobuf's limit: sizes of messages are ints there.
  constexpr uint32_t kMax = (uint32_t{1} << 31) - 1;
  if (!header.has(kMore)) {
    out->whole_size = static_cast<uint32_t>(out->bytes.size());
  } else if (out->whole_size <= out->bytes.size() || out->whole_size > kMax) {
    // Nothing would be left for DATA frames, or it is more than a message can be.
    return FrameError::kBadMessageSize;
  }
  if (out->attachment_size > out->whole_size || out->inflated_size > kMax)
    return FrameError::kBadMessageSize;
  return FrameError::kNone;
}

// Fast path: a message without sections.
inline FrameError ReadBareMessage(std::string_view bytes, Payload* out) {
  out->bytes = bytes;
  out->whole_size = static_cast<uint32_t>(bytes.size());
  return FrameError::kNone;
}

inline FrameError ReadPayload(const FrameHeader& header, Cursor* cursor, Payload* out) {
  return (header.flags & kSections) != 0 ? ReadSlowPayload(header, cursor, out)
                                         : ReadBareMessage(cursor->rest(), out);
}

FrameError ReadSlowRequest(const FrameHeader& header, std::string_view body, RequestFrame* out) {
  Cursor cursor(body);
  if (!cursor.Number(&out->timeout_us)) return FrameError::kBadSection;
  if (header.has(kNamed)) {
    uint16_t size;
    if (!cursor.Number(&size) || size == 0 || !cursor.Bytes(size, &out->method_name))
      return FrameError::kBadSection;
  }
  if (!ReadMetadata(header, &cursor, &out->metadata)) return FrameError::kBadSection;
  return ReadPayload(header, &cursor, &out->payload);
}

FrameError ReadSlowResponse(const FrameHeader& header, std::string_view body, ResponseFrame* out) {
  Cursor cursor(body);
  if (!cursor.Number(&out->handler_us)) return FrameError::kBadSection;
  if (!ReadMetadata(header, &cursor, &out->metadata)) return FrameError::kBadSection;
  if (header.aux == 0) return ReadPayload(header, &cursor, &out->payload);
  // An error has no message, and so none of its sections.
  if ((header.flags & kSections) != 0) return FrameError::kBadSection;
  uint32_t size;
  if (!cursor.Number(&size) || !cursor.Bytes(size, &out->error_message))
    return FrameError::kBadSection;
  out->error_details = cursor.rest();
  return FrameError::kNone;
}

}  // namespace

FrameError FrameReader::CheckAnyHeader(const FrameHeader& header, size_t max_frame) {
  // The order is the protocol's: the type says which flags, numbers and lengths there may be.
  if (!Known(header.type)) return FrameError::kUnknownType;
  if ((header.flags & ~AllowedFlags(header.type)) != 0) return FrameError::kReservedBits;
  if (header.length > max_frame) return FrameError::kTooLong;
  if (NumbersACall(header.type) && header.id >> 63 != 0) return FrameError::kBadCallNumber;
  switch (header.type) {
    case FrameType::kPing:
      // The answer to a PING may carry the peer's clock. Everything else about a PING is in its
      // header.
      if (header.has(kReply) && header.length == kClockSize) return FrameError::kNone;
      [[fallthrough]];
    case FrameType::kCancel:
    case FrameType::kGoAwayAck:
      return header.length == 0 ? FrameError::kNone : FrameError::kBadSection;
    case FrameType::kData:
      // A piece without bytes would bring its message no further.
      return header.length > 0 ? FrameError::kNone : FrameError::kBadSection;
    default:
      return FrameError::kNone;
  }
}

FrameError FrameReader::ReadRequest(const FrameHeader& header, std::string_view body,
                                    RequestFrame* out) {
  // Fast path: most requests have a timeout and a message, and nothing else.
  if ((header.flags & (kSections | kMetadata | kNamed)) != 0 || body.size() < sizeof(uint64_t)) {
    return ReadSlowRequest(header, body, out);
  }
  out->timeout_us = LoadWire<uint64_t>(body.data());
  return ReadBareMessage(body.substr(sizeof(uint64_t)), &out->payload);
}

FrameError FrameReader::ReadResponse(const FrameHeader& header, std::string_view body,
                                     ResponseFrame* out) {
  // Fast path: most responses are OK with a handler's time and a message.
  if (((header.flags & (kSections | kMetadata)) | header.aux) != 0 ||
      body.size() < sizeof(uint32_t)) {
    return ReadSlowResponse(header, body, out);
  }
  out->handler_us = LoadWire<uint32_t>(body.data());
  return ReadBareMessage(body.substr(sizeof(uint32_t)), &out->payload);
}

FrameError FrameReader::ReadStreamMessage(const FrameHeader& header, std::string_view body,
                                          Payload* out) {
  if (header.has(kNoMessage)) {
    // Only the end of a stream comes without a message.
    const bool bare = header.has(kEnd) && (header.flags & kSections) == 0 && body.empty();
    return bare ? FrameError::kNone : FrameError::kBadSection;
  }
  Cursor cursor(body);
  return ReadPayload(header, &cursor, out);
}

FrameError FrameReader::ReadWindow(std::string_view body, uint32_t* out) {
  Cursor cursor(body);
  if (!cursor.Number(out) || !cursor.rest().empty()) return FrameError::kBadSection;
  return *out > 0 ? FrameError::kNone : FrameError::kNoCredit;
}

std::string_view FrameReader::Describe(FrameError error) {
  switch (error) {
    case FrameError::kNone:
      return "no error";
    case FrameError::kTooLong:
      return "a frame longer than the limit";
    case FrameError::kUnknownType:
      return "an unknown frame type";
    case FrameError::kReservedBits:
      return "reserved bits that are set";
    case FrameError::kBadSection:
      return "a frame too short for what it says it holds";
    case FrameError::kBadMessageSize:
      return "a message whose announced size cannot be";
    case FrameError::kBadCallNumber:
      return "a call number that cannot be";
    case FrameError::kNoCredit:
      return "credit of 0 bytes";
    case FrameError::kNoCodec:
      return "a compressed message without a codec";
  }
  return "";
}

}  // namespace weft::internal::native
