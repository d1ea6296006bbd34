#include "weft/core/named_peer.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace weft::internal {
namespace {

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

// Addresses consist of these and of punctuation that may also follow an address.
bool OfAName(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; }

}  // namespace

bool NamedPeer::In(std::string_view text, std::string_view peer) {
  if (peer.empty()) return true;
  for (size_t at = text.find(peer); at != std::string_view::npos; at = text.find(peer, at + 1)) {
    const size_t behind = at + peer.size();
    const bool begins = at == 0 || text[at - 1] == ' ' || text[at - 1] == '(';
    if (begins && (behind == text.size() || !OfAName(text[behind]))) return true;
  }
  return false;
}

std::string NamedPeer::AtEnd(std::string_view text, std::string_view role, std::string_view peer) {
  if (In(text, peer)) return std::string(text);
  return absl::StrCat(View(text), " (", View(role), " ", View(peer), ")");
}

}  // namespace weft::internal
