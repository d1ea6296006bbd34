// Native frames put together byte by byte, right or wrong, without the code that is tested.
//
// Threads  value
#ifndef WEFT_TESTS_SUPPORT_RAW_FRAMES_H_
#define WEFT_TESTS_SUPPORT_RAW_FRAMES_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace weft::raw {

// Little-endian.
template <typename T>
std::string Number(T n) {
  std::string bytes;
  for (size_t i = 0; i < sizeof n; ++i) {
    bytes.push_back(static_cast<char>(static_cast<uint64_t>(n) >> (8 * i)));
  }
  return bytes;
}

inline std::string Header(uint32_t length, int type, int flags, int aux, uint64_t id) {
  return Number(length) + Number(static_cast<uint8_t>(type)) + Number(static_cast<uint8_t>(flags)) +
         Number(static_cast<uint16_t>(aux)) + Number(id);
}

inline std::string Frame(int type, int flags, int aux, uint64_t id, std::string_view body = {}) {
  return Header(static_cast<uint32_t>(body.size()), type, flags, aux, id) + std::string(body);
}

inline std::string Preface() { return std::string("\xF7weft\r\n\x01", 8); }

// A protobuf field with a number.
inline std::string Varint(int field, uint64_t value) {
  std::string bytes;
  for (uint64_t v : {static_cast<uint64_t>(field) << 3, value}) {
    for (; v >= 0x80; v >>= 7) bytes.push_back(static_cast<char>(v | 0x80));
    bytes.push_back(static_cast<char>(v));
  }
  return bytes;
}

// The fields of a Hello that matter to tests.
struct HelloFields {
  uint32_t lowest = 1, highest = 1;
  uint32_t max_frame = 64 << 10;
  uint64_t max_message = 64 << 20;
  uint32_t max_metadata = 16 << 10;
  uint32_t max_calls = 10'000;
  uint32_t max_methods = 4'096;
  uint32_t heartbeat_ms = 0;
  std::string token = {};
  uint64_t features = 0;
  uint64_t required_features = 0;
  uint32_t stream_window = 0;
  uint32_t connection_window = 0;
};

inline std::string HelloBody(const HelloFields& f = {}) {
  std::string body = Varint(1, f.lowest) + Varint(2, f.highest) + Varint(3, f.max_frame) +
                     Varint(4, f.max_message) + Varint(5, f.max_metadata) + Varint(6, f.max_calls) +
                     Varint(7, f.max_methods) + Varint(8, f.heartbeat_ms) + Varint(9, 2);
  if (!f.token.empty()) {
    // Field 10 as bytes, with a length below 128.
    body += std::string("\x52", 1) + static_cast<char>(f.token.size()) + f.token;
  }
  if (f.features != 0) body += Varint(17, f.features);
  if (f.required_features != 0) body += Varint(18, f.required_features);
  if (f.stream_window != 0) body += Varint(19, f.stream_window);
  if (f.connection_window != 0) body += Varint(20, f.connection_window);
  return body;
}

inline std::string Hello(const HelloFields& f = {}) { return Frame(0x10, 0, 0, 0, HelloBody(f)); }

// The first bytes that a client sends.
inline std::string Opening(const HelloFields& f = {}) { return Preface() + Hello(f); }

// EchoRequest and EchoReply with a text or a payload.
inline std::string Text(std::string_view text) {
  // Field 2 as bytes, with a length below 128.
  return "\x12" + std::string(1, static_cast<char>(text.size())) + std::string(text);
}
inline std::string Payload(std::string_view bytes) {
  // Varint writes a number's tag; a field of bytes has wire type 2.
  std::string field = Varint(1, bytes.size());
  field[0] = '\x0A';
  return field + std::string(bytes);
}

struct RequestFields {
  uint64_t id = 1;
  int number = 0;
  std::string name = "weft.test.EchoService/Echo";  // empty: by number alone
  uint64_t timeout_us = 0;
  std::string metadata = {};
  std::string message = {};
  // The whole size, where the message goes on in DATA.
  uint32_t more = 0;
  // The call's messages follow in a stream.
  bool opens = false;
};

inline std::string Request(const RequestFields& f) {
  // END, unless messages follow in a stream.
  int flags = f.opens ? 0 : 0x01;
  std::string body = Number(f.timeout_us);
  if (!f.name.empty()) {
    flags |= 0x40;
    body += Number(static_cast<uint16_t>(f.name.size())) + f.name;
  }
  if (!f.metadata.empty()) {
    flags |= 0x08;
    body += Number(static_cast<uint32_t>(f.metadata.size())) + f.metadata;
  }
  if (f.more != 0) {
    flags |= 0x02;
    body += Number(f.more);
  }
  return Frame(0x01, flags, f.number, f.id, body + f.message);
}

inline std::string Reply(uint64_t id, std::string_view message, uint32_t handler_us = 0) {
  return Frame(0x02, 0x01, 0, id, Number(handler_us) + std::string(message));
}

// The beginning of a reply whose message of `whole` bytes goes on in DATA.
inline std::string ReplyBegin(uint64_t id, uint32_t whole, std::string_view first) {
  return Frame(0x02, 0x03, 0, id, Number(uint32_t{0}) + Number(whole) + std::string(first));
}

inline std::string Error(uint64_t id, int code, std::string_view text, bool not_executed = false) {
  return Frame(
      0x02, not_executed ? 0x41 : 0x01, code, id,
      Number(uint32_t{0}) + Number(static_cast<uint32_t>(text.size())) + std::string(text));
}

inline std::string Data(uint64_t id, bool reply, bool more, std::string_view bytes) {
  return Frame(0x03, (reply ? 0x80 : 0) | (more ? 0x02 : 0), 0, id, bytes);
}

// A message of a stream.
inline std::string Message(uint64_t id, bool reply, std::string_view bytes, bool last = false) {
  return Frame(0x0A, (reply ? 0x80 : 0) | (last ? 0x01 : 0), 0, id, bytes);
}
// The beginning of a message of `whole` bytes that goes on in DATA.
inline std::string MessageBegin(uint64_t id, bool reply, uint32_t whole, std::string_view first,
                                bool last = false) {
  return Frame(0x0A, (reply ? 0x82 : 0x02) | (last ? 0x01 : 0), 0, id,
               Number(whole) + std::string(first));
}
inline std::string HalfClose(uint64_t id, bool reply) {
  return Frame(0x0A, reply ? 0xC1 : 0x41, 0, id);
}
inline std::string Window(uint64_t id, bool reply, uint32_t bytes) {
  return Frame(0x05, reply ? 0x80 : 0, 0, id, Number(bytes));
}

// A pair of metadata.
inline std::string Pair(std::string_view key, std::string_view value) {
  return Number(static_cast<uint16_t>(key.size())) + std::string(key) +
         Number(static_cast<uint32_t>(value.size())) + std::string(value);
}
// Initial metadata.
inline std::string Headers(uint64_t id, std::string_view pairs) {
  return Frame(0x09, 0, 0, id, pairs);
}

inline std::string Cancel(uint64_t id) { return Frame(0x04, 0, 1, id); }
inline std::string Ping(uint64_t id) { return Frame(0x06, 0, 0, id); }
inline std::string Pong(uint64_t id, std::string_view clock = {}) {
  return Frame(0x06, 0x80, 0, id, clock);
}
inline std::string GoAway(uint64_t last, std::string_view why) {
  // 14: UNAVAILABLE.
  return Frame(0x07, 0, 14, last, why);
}
// The first of two: the second names the last call.
inline std::string GoAwayAnnounced(std::string_view why) { return GoAway(UINT64_MAX, why); }
inline std::string GoAwayAck() { return Frame(0x08, 0, 0, 0); }

}  // namespace weft::raw

#endif  // WEFT_TESTS_SUPPORT_RAW_FRAMES_H_
