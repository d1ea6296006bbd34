#include "weft/core/named_peer.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"

namespace weft::internal {
namespace {

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

std::string NamedPeer::Ending(std::string_view role, std::string_view peer) {
  return absl::StrCat(" (", AbslView(role), " ", AbslView(peer), ")");
}

std::string NamedPeer::Ending(std::string_view role, std::string_view peer, Nanos took) {
  return absl::StrCat(" (", AbslView(role), " ", AbslView(peer), ", after ", InMs(took), ")");
}

std::string NamedPeer::AtEnd(std::string_view text, std::string_view role, std::string_view peer) {
  if (In(text, peer)) return std::string(text);
  return absl::StrCat(AbslView(text), Ending(role, peer));
}

}  // namespace weft::internal
