// The order of a key's versions.
//
// Threads  any
#ifndef WEFT_EXAMPLES_KV_VERSION_H_
#define WEFT_EXAMPLES_KV_VERSION_H_

#include <compare>

#include "kv.pb.h"

namespace weft::examples::kv {

inline std::strong_ordering Compare(const Version& a, const Version& b) {
  if (const auto order = a.number() <=> b.number(); order != 0) return order;
  if (const int order = a.writer().compare(b.writer()); order != 0) return order <=> 0;
  return a.life() <=> b.life();
}

}  // namespace weft::examples::kv

#endif  // WEFT_EXAMPLES_KV_VERSION_H_
