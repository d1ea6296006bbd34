#include "weft/rpc/protocol/native/frame_reader.h"

namespace weft::native {
namespace {

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
      return true;
    case FrameType::kWindow:
    case FrameType::kHeaders:
    case FrameType::kMessage:
      return false;  // reserved: no version sends them yet
  }
  return false;
}

// Whether `id` is a call's. The highest bit of those tells, inside a session, the peer's from its
// own.
bool NumbersACall(FrameType type) {
  return type == FrameType::kRequest || type == FrameType::kResponse || type == FrameType::kData ||
         type == FrameType::kCancel;
}

// Takes numbers and runs of bytes off the front; false when there are not enough.
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

// The message's part in this frame, and the size of the whole.
FrameError ReadMessage(const FrameHeader& header, Cursor* cursor, uint32_t* whole,
                       std::string_view* message) {
  if (header.has(kMore) && !cursor->Number(whole)) return FrameError::kBadSection;
  *message = cursor->rest();
  if (!header.has(kMore)) {
    *whole = static_cast<uint32_t>(message->size());
  } else if (*whole <= message->size() || *whole > (uint32_t{1} << 31) - 1) {
    return FrameError::kBadMessageSize;  // nothing would be left to come, or more than a message
                                         // can be
  }
  return FrameError::kNone;
}

}  // namespace

FrameError FrameReader::CheckHeader(const FrameHeader& header, size_t max_frame) {
  if (!Known(header.type)) return FrameError::kUnknownType;
  if ((header.flags & ~AllowedFlags(header.type)) != 0) return FrameError::kReservedBits;
  if (header.length > max_frame) return FrameError::kTooLong;
  if (NumbersACall(header.type) && header.id >> 63 != 0) return FrameError::kBadCallNumber;
  switch (header.type) {
    case FrameType::kCancel:
    case FrameType::kPing:
    case FrameType::kGoAwayAck:
      return header.length == 0 ? FrameError::kNone : FrameError::kBadSection;
    case FrameType::kData:
      return header.length > 0 ? FrameError::kNone : FrameError::kBadSection;
    default:
      return FrameError::kNone;
  }
}

FrameError FrameReader::ReadRequest(const FrameHeader& header, std::string_view body,
                                    RequestFrame* out) {
  Cursor cursor(body);
  if (!cursor.Number(&out->timeout_us)) return FrameError::kBadSection;
  if (header.has(kNamed)) {
    uint16_t size;
    if (!cursor.Number(&size) || size == 0 || !cursor.Bytes(size, &out->method_name))
      return FrameError::kBadSection;
  }
  if (!ReadMetadata(header, &cursor, &out->metadata)) return FrameError::kBadSection;
  return ReadMessage(header, &cursor, &out->whole_size, &out->message);
}

FrameError FrameReader::ReadResponse(const FrameHeader& header, std::string_view body,
                                     ResponseFrame* out) {
  Cursor cursor(body);
  if (!cursor.Number(&out->handler_us)) return FrameError::kBadSection;
  if (!ReadMetadata(header, &cursor, &out->metadata)) return FrameError::kBadSection;
  if (header.aux == 0) return ReadMessage(header, &cursor, &out->whole_size, &out->message);
  if (header.has(kMore)) return FrameError::kBadSection;
  uint32_t size;
  if (!cursor.Number(&size) || !cursor.Bytes(size, &out->error_message))
    return FrameError::kBadSection;
  out->error_details = cursor.rest();
  return FrameError::kNone;
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
  }
  return "";
}

}  // namespace weft::native
