#include "weft/rpc/protocol/native/method_numbers.h"

#include <algorithm>

namespace weft::internal::native {

MethodNumbers::Bound MethodNumbers::Find(const MethodInfo& method, size_t max_methods) {
  const auto found = numbers_.find(&method);
  const bool first = found == numbers_.end();
  // No number is left: the method is named in each request.
  if (first && numbers_.size() >= std::min(max_methods, kMaxMethods)) return {0, true};
  const auto number = first ? static_cast<uint16_t>(numbers_.size() + 1) : found->second;
  if (first) numbers_.emplace(&method, number);
  last_method_ = &method;
  last_number_ = number;
  // The first request with a number binds it by carrying the name, too. Requests rise in the order
  // of the wire, so no later one overtakes the binding.
  return {number, first};
}

}  // namespace weft::internal::native
