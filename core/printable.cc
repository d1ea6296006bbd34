#include "weft/core/printable.h"

#include <cstdint>

#include "absl/strings/str_cat.h"

namespace weft::internal {
namespace {

bool IsPlainAscii(unsigned char c) { return c >= 0x20 && c < 0x7f; }

// The length of the UTF-8 character at the beginning of `text`, and which one it is; 0: there is
// none.
size_t DecodeOne(std::string_view text, uint32_t* code) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) {
    *code = lead;
    return 1;
  }
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  // The least code of each length. A longer form of a smaller code is not valid UTF-8, and could
  // smuggle a control character past a check.
  constexpr uint32_t kMin[] = {0, 0, 0x80, 0x800, 0x10000};
  // 0x80 to 0xc1 begin no character, or only forms that are too long; above 0xf4 lies nothing of
  // Unicode.
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  uint32_t value = lead & (0xffu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    value = value << 6 | (byte(i) & 0x3fu);
  }
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < kMin[length] || value > 0x10ffff || surrogate) return 0;
  *code = value;
  return length;
}

bool MayBePrinted(uint32_t code) {
  if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;  // C0, DEL, C1
  // The three marks that turn the direction of writing without a range of their own.
  if (code == 0x61c || code == 0x200e || code == 0x200f) return false;
  if (code >= 0x2028 && code <= 0x202e) return false;  // separators, embeddings, overrides
  if (code >= 0x2066 && code <= 0x2069) return false;  // isolates
  // A byte order mark is invisible inside text.
  return code != 0xfeff;
}

// The character at the beginning of `text` as it may be printed; how many bytes of `text` it is.
size_t AppendOne(std::string_view text, std::string* out) {
  uint32_t code = 0;
  const size_t length = DecodeOne(text, &code);
  if (length > 0 && MayBePrinted(code)) {
    out->append(text.data(), length);
    return length;
  }
  const size_t escaped = length > 0 ? length : 1;
  for (const char c : text.substr(0, escaped)) {
    switch (c) {
      case '\n':
        out->append("\\n");
        break;
      case '\r':
        out->append("\\r");
        break;
      case '\t':
        out->append("\\t");
        break;
      default:
        absl::StrAppend(out, "\\x",
                        absl::Hex(static_cast<unsigned char>(c), absl::PadSpec::kZeroPad2));
    }
  }
  return escaped;
}

}  // namespace

bool Printable::Is(std::string_view text, size_t max) {
  if (text.size() > max) return false;
  for (size_t i = 0; i < text.size();) {
    if (IsPlainAscii(static_cast<unsigned char>(text[i]))) {
      ++i;
      continue;
    }
    uint32_t code = 0;
    const size_t length = DecodeOne(text.substr(i), &code);
    if (length == 0 || !MayBePrinted(code)) return false;
    i += length;
  }
  return true;
}

std::string Printable::Text(std::string_view text, size_t max) {
  if (Is(text, max)) return std::string(text);
  std::string out;
  std::string one;
  for (size_t i = 0; i < text.size();) {
    one.clear();
    const size_t length = AppendOne(text.substr(i), &one);
    if (out.size() + one.size() > max) {
      absl::StrAppend(&out, "... (", text.size() - i, " bytes more)");
      break;
    }
    out += one;
    i += length;
  }
  return out;
}

}  // namespace weft::internal
