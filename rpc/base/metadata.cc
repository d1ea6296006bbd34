#include "weft/rpc/base/metadata.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "weft/core/absl_view.h"
#include "weft/core/printable.h"
#include "weft/rpc/base/wire_bytes.h"

namespace weft {

using namespace internal;

namespace {

// So many bytes of a refused key are printed in the error.
constexpr size_t kMaxPrinted = 100;

bool KeyCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

absl::Status CheckEntry(std::string_view key, std::string_view value) {
  // A key's length has 16 bits on the wire.
  if (key.empty() || key.size() > std::numeric_limits<uint16_t>::max() ||
      !std::all_of(key.begin(), key.end(), KeyCharacter)) {
    return absl::InvalidArgumentError(absl::StrCat("metadata key \"",
                                                   Printable::Text(key, kMaxPrinted),
                                                   "\": only a-z 0-9 - _ . are allowed"));
  }
  const bool binary = key.size() > 4 && key.substr(key.size() - 4) == "-bin";
  if (!binary &&
      !std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c <= 0x7e; })) {
    return absl::InvalidArgumentError(
        absl::StrCat("metadata \"", AbslView(key),
                     "\": its value is not printable ASCII; a key in -bin takes any bytes"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Metadata::Add(std::string_view key, std::string_view value) {
  if (absl::Status s = CheckEntry(key, value); !s.ok()) return s;
  if (key.substr(0, 5) == "weft-") {
    return absl::InvalidArgumentError(
        absl::StrCat("metadata key \"", AbslView(key), "\": weft- is reserved"));
  }
  entries_.emplace_back(key, value);
  return absl::OkStatus();
}

void Metadata::AddReserved(std::string_view key, std::string_view value) {
  entries_.emplace_back(key, value);
}

void Metadata::Append(const Metadata& more) {
  entries_.insert(entries_.end(), more.entries_.begin(), more.entries_.end());
}

std::optional<std::string_view> Metadata::Get(std::string_view key) const {
  for (const Entry& e : entries_) {
    if (e.first == key) return e.second;
  }
  return std::nullopt;
}

std::vector<std::string_view> Metadata::GetAll(std::string_view key) const {
  std::vector<std::string_view> values;
  for (const Entry& e : entries_) {
    if (e.first == key) values.push_back(e.second);
  }
  return values;
}

size_t Metadata::WireSize() const {
  size_t size = 0;
  // 6: both lengths, of 2 and 4 bytes.
  for (const Entry& e : entries_) size += 6 + e.first.size() + e.second.size();
  return size;
}

char* Metadata::WriteTo(char* out) const {
  for (const Entry& e : entries_) {
    out = StoreWire(out, static_cast<uint16_t>(e.first.size()));
    out = StoreBytes(out, e.first.data(), e.first.size());
    out = StoreWire(out, static_cast<uint32_t>(e.second.size()));
    out = StoreBytes(out, e.second.data(), e.second.size());
  }
  return out;
}

absl::Status Metadata::ReadFrom(std::string_view bytes) {
  const absl::Status truncated =
      absl::InvalidArgumentError("metadata ends in the middle of a pair");
  while (!bytes.empty()) {
    if (bytes.size() < 2) return truncated;
    // The peer wrote these sizes. Each is compared with the bytes that are there before it is used.
    const size_t key_size = LoadWire<uint16_t>(bytes.data());
    bytes.remove_prefix(2);
    if (bytes.size() < key_size + 4) return truncated;
    const std::string_view key = bytes.substr(0, key_size);
    const size_t value_size = LoadWire<uint32_t>(bytes.data() + key_size);
    bytes.remove_prefix(key_size + 4);
    if (bytes.size() < value_size) return truncated;
    const std::string_view value = bytes.substr(0, value_size);
    bytes.remove_prefix(value_size);
    // The rules hold for the peer's pairs, too. Reserved keys are taken: the peer's weft sends
    // them.
    if (absl::Status s = CheckEntry(key, value); !s.ok()) return s;
    entries_.emplace_back(key, value);
  }
  return absl::OkStatus();
}

}  // namespace weft
