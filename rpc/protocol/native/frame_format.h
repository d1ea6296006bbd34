// The native protocol's frames: constants and the header. docs/native_protocol.md draws every byte.
//
//   preface   F7 'w' 'e' 'f' 't' 0D 0A 01      each side, once, first; no HTTP or TLS client
//                                              begins so
//   frame     [ length u32 | type u8 | flags u8 | aux u16 | id u64 ] [ length bytes ]
//                                              little-endian
//
// Threads  value
#ifndef WEFT_RPC_PROTOCOL_NATIVE_FRAME_FORMAT_H_
#define WEFT_RPC_PROTOCOL_NATIVE_FRAME_FORMAT_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "weft/rpc/base/wire_bytes.h"

namespace weft::internal::native {

inline constexpr std::array<char, 8> kPreface = {'\xF7', 'w',    'e',    'f',
                                                 't',    '\x0D', '\x0A', '\x01'};
inline constexpr uint32_t kWireVersion = 1;
inline constexpr size_t kHeaderSize = 16;

enum class FrameType : uint8_t {
  kRequest = 0x01,    // opens a call; aux: method number; id: the call
  kResponse = 0x02,   // ends a call; aux: status code
  kData = 0x03,       // the next piece of a message whose frame had MORE
  kCancel = 0x04,     // the caller gives up; aux: status code
  kWindow = 0x05,     // more credit for a call's stream messages; id 0: for all of them together
  kPing = 0x06,       // id: the sender's; answered by the same with REPLY
  kGoAway = 0x07,     // no more calls please; id: the last one taken; aux: status code; bytes: why
  kGoAwayAck = 0x08,  // understood
  kHeaders = 0x09,    // initial metadata of a reply, before its first message; id: the call
  kMessage = 0x0A,    // a message of a stream, or only its end
  kHello = 0x10,      // the handshake, a protobuf message
};

enum Flag : uint8_t {
  kEnd = 0x01,         // the sender's last message in this call
  kMore = 0x02,        // the message goes on in DATA frames
  kCompressed = 0x04,  // the message is compressed; codec and size precede it
  kMetadata = 0x08,    // metadata precedes the message
  kAttachment = 0x10,  // raw bytes follow the message; their size precedes it
  kOneway = 0x20,      // reserved
  kNamed =
      0x40,  // REQUEST: the method's full name follows, and is bound to the number if that is not 0
  kNotExecuted = 0x40,  // RESPONSE: the call was certainly not executed
  kNoMessage = 0x40,    // MESSAGE: only the end of the stream; with END, and no bytes
  kReply = 0x80,  // PING: an answer; DATA, MESSAGE, WINDOW: of a call that the receiver started
};

// Flags that a type may carry in this version; all other bits are reserved and must be 0.
constexpr uint8_t AllowedFlags(FrameType type) {
  switch (type) {
    case FrameType::kRequest:
      return kEnd | kMore | kCompressed | kMetadata | kAttachment | kNamed;
    case FrameType::kResponse:
      return kEnd | kMore | kCompressed | kMetadata | kAttachment | kNotExecuted;
    case FrameType::kMessage:
      return kEnd | kMore | kCompressed | kAttachment | kNoMessage | kReply;
    case FrameType::kWindow:
      return kReply;
    case FrameType::kData:
      return kMore | kReply;
    case FrameType::kPing:
      return kReply;
    default:
      return 0;
  }
}

// A GOAWAY's id before the last call is known: calls are taken until the peer confirms, then
// another GOAWAY names the last.
inline constexpr uint64_t kNoCallNamed = UINT64_MAX;

// Size of the clock in a PING's answer: the sender's wall clock, u64 microseconds since the epoch.
inline constexpr size_t kClockSize = 8;

// Credit that a stream message costs beside its bytes on the wire.
inline constexpr size_t kMessageCost = kHeaderSize;

struct FrameHeader {
  uint32_t length = 0;
  FrameType type{};
  uint8_t flags = 0;
  uint16_t aux = 0;
  uint64_t id = 0;

  bool has(Flag flag) const { return (flags & flag) != 0; }
};

inline char* WriteHeader(char* out, const FrameHeader& h) {
  out = StoreWire(out, h.length);
  out = StoreWire(out, static_cast<uint8_t>(h.type));
  out = StoreWire(out, h.flags);
  out = StoreWire(out, h.aux);
  return StoreWire(out, h.id);
}

// Accepts any 16 bytes; FrameReader checks their meaning.
inline FrameHeader ReadHeader(const char* in) {
  FrameHeader h;
  h.length = LoadWire<uint32_t>(in);
  h.type = static_cast<FrameType>(in[4]);
  h.flags = LoadWire<uint8_t>(in + 5);
  h.aux = LoadWire<uint16_t>(in + 6);
  h.id = LoadWire<uint64_t>(in + 8);
  return h;
}

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_FRAME_FORMAT_H_
