// Pairs of texts that travel beside a message: request metadata one way, initial metadata and
// trailers the other.
//
// Keys are lower-case letters, digits and "-_."; a key that ends in "-bin" has any bytes as its
// value, others printable ASCII. A key may come several times; order is kept. Keys beginning with
// "weft-" are reserved.
//
// Threads  value
// Errors   Add: INVALID_ARGUMENT that names the key and what is wrong with it
#ifndef WEFT_RPC_BASE_METADATA_H_
#define WEFT_RPC_BASE_METADATA_H_

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/requirements.h"

namespace weft {

class Metadata {
 public:
  using Entry = std::pair<std::string, std::string>;

  absl::Status Add(std::string_view key, std::string_view value);
  // For weft itself. `key` begins with "weft-"; key and value must be valid, which is not checked.
  void AddReserved(std::string_view key, std::string_view value);
  // The first value of `key`.
  std::optional<std::string_view> Get(std::string_view key) const;
  std::vector<std::string_view> GetAll(std::string_view key) const;
  const std::vector<Entry>& entries() const { return entries_; }
  // Adds all pairs of `more` behind those that are here.
  void Append(const Metadata& more);
  bool empty() const { return entries_.empty(); }
  void Clear() {
    if (entries_.capacity() <= kMaxKept) {
      entries_.clear();
    } else {
      std::vector<Entry>().swap(entries_);  // `= {}` keeps the memory
    }
  }

  // On the wire: for each pair u16 key length, key, u32 value length, value; little-endian.
  size_t WireSize() const;
  char* WriteTo(char* out) const;
  // Adds the pairs in `bytes`. On an error the pairs before the damaged place stay.
  absl::Status ReadFrom(std::string_view bytes);

 private:
  // Clear frees the vector when it has room for more pairs than this.
  static constexpr size_t kMaxKept = 32;

  std::vector<Entry> entries_;
};

}  // namespace weft

#endif  // WEFT_RPC_BASE_METADATA_H_
