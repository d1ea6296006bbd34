// Numbers that a peer has bound to unknown names, kept for the text of the errors of their calls.
//
// Threads  value
// Owns     the beginnings of the first names; one bit for each number, so little memory in all
#ifndef WEFT_RPC_PROTOCOL_NATIVE_UNKNOWN_METHODS_H_
#define WEFT_RPC_PROTOCOL_NATIVE_UNKNOWN_METHODS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "weft/core/requirements.h"

namespace weft::internal::native {

class UnknownMethods {
 public:
  // Bytes that are kept of a name. The names are the peer's: they must not fill this side's memory.
  static constexpr size_t kMaxNameBytes = 256;
  // Number of names kept; errors about later ones give the number.
  static constexpr size_t kMaxNames = 64;

  // True if Add will keep another name.
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
  // The kept name, or the number.
  std::string Name(uint16_t number) const {
    const auto it = names_.find(number);
    return it != names_.end() ? it->second : absl::StrCat("method number ", number);
  }

 private:
  // By number: true for each that is bound to an unknown name, also where its name was not kept.
  std::vector<bool> numbers_;
  absl::flat_hash_map<uint16_t, std::string> names_;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_UNKNOWN_METHODS_H_
