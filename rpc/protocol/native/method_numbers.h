// The numbers that this side has given to methods: a method's name goes with its first call, its
// number with every later one.
//
// Threads  any, under the output's mutex
// Owns     the numbers; refers to the methods, which are constants of generated code
#ifndef WEFT_RPC_PROTOCOL_NATIVE_METHOD_NUMBERS_H_
#define WEFT_RPC_PROTOCOL_NATIVE_METHOD_NUMBERS_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "weft/rpc/base/method.h"

namespace weft::internal::native {

class MethodNumbers {
 public:
  // The most methods with a number, so that the table stays small; names of others go with each
  // call.
  static constexpr size_t kMaxMethods = 1024;

  struct Bound {
    uint16_t number = 0;      // 0: no number
    bool needs_name = false;  // the method's name goes with this call
  };

  // The number for the next request. `max_methods`: the peer's limit.
  Bound Bind(const MethodInfo& method, size_t max_methods) {
    if (&method == last_method_) return {last_number_, false};
    return Find(method, max_methods);
  }
  size_t size() const { return numbers_.size(); }

 private:
  Bound Find(const MethodInfo& method, size_t max_methods);

  absl::flat_hash_map<const MethodInfo*, uint16_t> numbers_;
  // The last request's method and number: calls of one method often follow each other.
  const MethodInfo* last_method_ = nullptr;
  uint16_t last_number_ = 0;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_METHOD_NUMBERS_H_
