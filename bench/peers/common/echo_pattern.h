// The payload that is sent, and the test of what came back.
//
// Bytes without a short period; the first eight, where there are eight, are overwritten with the
// call's own number, so that a reply handed to the wrong call is noticed.
//
//   | call number (8, host order) | fixed bytes ...              |
//
// Threads  value; const after construction, so it may be shared
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace weft::bench {

class EchoPattern {
 public:
  explicit EchoPattern(size_t size) : bytes_(size, '\0') {
    uint32_t state = 0x9e3779b9u;
    for (char& byte : bytes_) {
      state = state * 1664525u + 1013904223u;
      byte = static_cast<char>(state >> 24);
    }
  }

  size_t size() const { return bytes_.size(); }
  const std::string& bytes() const { return bytes_; }

  // Makes `payload`, size() bytes that hold the pattern, the payload of call `number`.
  void Stamp(void* payload, uint64_t number) const {
    if (size() >= kStamp) std::memcpy(payload, &number, kStamp);
  }

  bool Matches(const void* payload, uint64_t number) const {
    const auto* bytes = static_cast<const char*>(payload);
    const size_t fixed = size() >= kStamp ? kStamp : 0;
    return std::memcmp(bytes, &number, fixed) == 0 &&
           std::memcmp(bytes + fixed, bytes_.data() + fixed, size() - fixed) == 0;
  }

 private:
  static constexpr size_t kStamp = sizeof(uint64_t);

  std::string bytes_;
};

}  // namespace weft::bench
