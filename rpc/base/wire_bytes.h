// Loads and stores of the wire's little-endian numbers, at any alignment.
//
// Threads  value
#ifndef WEFT_RPC_BASE_WIRE_BYTES_H_
#define WEFT_RPC_BASE_WIRE_BYTES_H_

#include <bit>
#include <cstdint>
#include <cstring>

#include "weft/core/requirements.h"

namespace weft::internal {

static_assert(std::endian::native == std::endian::little, "the wire's order is the machine's");

template <typename T>
inline T LoadWire(const char* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

template <typename T>
inline char* StoreWire(char* p, T value) {
  std::memcpy(p, &value, sizeof value);
  return p + sizeof value;
}

inline char* StoreBytes(char* p, const void* data, size_t size) {
  // memcpy takes no null pointer, even for no bytes.
  if (size > 0) std::memcpy(p, data, size);
  return p + size;
}

}  // namespace weft::internal

#endif  // WEFT_RPC_BASE_WIRE_BYTES_H_
