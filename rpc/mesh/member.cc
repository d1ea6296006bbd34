#include "weft/rpc/mesh/member.h"

#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/printable.h"
#include "weft/core/socket_address.h"

namespace weft {

using namespace internal;

namespace {

// Bytes of a wrong name or address that its error quotes.
constexpr size_t kQuoted = 64;

absl::Status Bad(const char* what, std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, " \"", Printable::Text(text, kQuoted), "\": ", AbslView(why)));
}

}  // namespace

absl::Status Member::CheckName(std::string_view name) {
  if (name.empty()) return Bad("member's name", name, "it is empty");
  if (name.size() > kMaxName) {
    return Bad("member's name", name,
               absl::StrCat("too long (", name.size(), " bytes, limit ", kMaxName, ")"));
  }
  // Names go into file lines, log lines and errors: nothing that separates there may stand in one.
  const auto may_stand = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
  };
  if (!std::all_of(name.begin(), name.end(), may_stand) ||
      !absl::ascii_isalnum(static_cast<unsigned char>(name[0]))) {
    return Bad("member's name", name,
               "expected letters, digits and . _ -, beginning with a letter or a digit");
  }
  return absl::OkStatus();
}

absl::Status Member::CheckAddress(std::string_view address) {
  if (address.empty()) return Bad("member's address", address, "it is empty");
  if (address.size() > kMaxAddress) {
    return Bad("member's address", address,
               absl::StrCat("too long (", address.size(), " bytes, limit ", kMaxAddress, ")"));
  }
  // A blank would end the word in a members file, and a control character would spoil a log line.
  const auto may_stand = [](char c) { return c > ' ' && c < 0x7f; };
  if (!std::all_of(address.begin(), address.end(), may_stand)) {
    return Bad("member's address", address, "expected printable ASCII without spaces");
  }
  const absl::StatusOr<HostPort> parsed = HostPort::Parse(address);
  if (!parsed.ok()) return parsed.status();
  // Port 0 means "any free port" to a listener, and nothing to a dialer.
  if (parsed->port == 0 && !parsed->is_unix() && !parsed->is_in_process()) {
    return Bad("member's address", address, "port 0 cannot be connected to");
  }
  return absl::OkStatus();
}

absl::Status Member::Check() const {
  absl::Status status = CheckName(name);
  if (!status.ok()) return status;
  status = CheckAddress(address);
  if (status.ok()) return status;
  // CheckName needs no such prefix: its error quotes the name.
  return absl::Status(status.code(),
                      absl::StrCat("member ", name, ": ", std::string(status.message())));
}

std::string Member::CanonicalAddress() const {
  absl::StatusOr<HostPort> parsed = HostPort::Parse(address);
  // Paths and in-process names have one spelling.
  if (!parsed.ok() || parsed->is_unix() || parsed->is_in_process()) return address;
  // The interface after a % differs from machine to machine, so such an address equals only itself.
  if (parsed->host.find('%') == std::string::npos) {
    const absl::StatusOr<SocketAddress> numeric = SocketAddress::From(*parsed);
    if (numeric.ok()) return numeric->ToString();
  }
  std::string host = absl::AsciiStrToLower(parsed->host);
  // A dot at the end and the case of letters make no other host.
  if (host.back() == '.') host.pop_back();
  return absl::StrCat(host, ":", parsed->port);
}

}  // namespace weft
