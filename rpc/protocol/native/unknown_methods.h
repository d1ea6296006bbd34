// The numbers that a peer has bound to names that stand for no method: for the text of the error
// that their calls end with.
//
// Threads  value
// Owns     the beginnings of the first names; a bit for each number, so never much memory at once
#ifndef WEFT_RPC_PROTOCOL_NATIVE_UNKNOWN_METHODS_H_
#define WEFT_RPC_PROTOCOL_NATIVE_UNKNOWN_METHODS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace weft::native {

class UnknownMethods {
 public:
  static constexpr size_t kMaxNameBytes = 256;
  // So many names are kept; an error of a later one names its number.
  static constexpr size_t kMaxNames = 64;

  // Whether Add will keep a name more than now.
  bool KeepsMore(uint16_t number) const {
    return names_.size() < kMaxNames && !names_.contains(number);
  }
  void Add(uint16_t number, std::string_view name) {
    if (numbers_.size() <= number) numbers_.resize(number + size_t{1});
    numbers_[number] = true;
    if (names_.size() < kMaxNames || names_.contains(number)) {
      names_[number] = std::string(name.substr(0, kMaxNameBytes));
    }
  }
  void Erase(uint16_t number) {
    if (Contains(number)) numbers_[number] = false;
    names_.erase(number);
  }
  bool Contains(uint16_t number) const { return number < numbers_.size() && numbers_[number]; }
  // The name that was kept, or the number.
  std::string Name(uint16_t number) const {
    const auto it = names_.find(number);
    return it != names_.end() ? it->second : absl::StrCat("method number ", number);
  }

 private:
  std::vector<bool> numbers_;
  absl::flat_hash_map<uint16_t, std::string> names_;
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_UNKNOWN_METHODS_H_
