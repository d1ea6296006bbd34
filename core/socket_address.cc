#include "weft/core/socket_address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstddef>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "weft/core/absl_view.h"

namespace weft::internal {
namespace {

constexpr std::string_view kUnixScheme = "unix:";
constexpr std::string_view kInProcessScheme = "inproc:";

absl::Status BadAddress(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("address \"", AbslView(text), "\": ", AbslView(why),
                   "; expected host:port, [IPv6]:port or unix:/path"));
}

// Says why `host` can be no name; empty: it can. Letters are not judged: a hosts file has all
// kinds.
std::string_view WhyNotAName(std::string_view host) {
  if (host.back() == '.') host.remove_suffix(1);  // an absolute one
  if (host.empty()) return "no host";
  // RFC 1035, 2.3.4: 253 bytes of text, 63 of a label.
  if (host.size() > 253) return "the host name is too long (limit 253 bytes)";
  for (size_t label = 0, end; label <= host.size(); label = end + 1) {
    end = std::min(host.find('.', label), host.size());
    if (end == label) return "two dots in a row, or a dot in front, in the host name";
    if (end - label > 63) return "a part of the host name is too long (limit 63 bytes)";
  }
  const auto no_part_of_names = [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == 0x7f || c == '/';
  };
  if (std::any_of(host.begin(), host.end(), no_part_of_names)) {
    return "a space, a slash or a control character in the host name";
  }
  return "";
}

}  // namespace

absl::StatusOr<HostPort> HostPort::Parse(std::string_view text) {
  HostPort result;
  // The system's calls would end the address there.
  if (text.find('\0') != std::string_view::npos) return BadAddress(text, "a zero byte in it");
  if (text.substr(0, kUnixScheme.size()) == kUnixScheme) {
    result.unix_path = std::string(text.substr(kUnixScheme.size()));
    if (result.unix_path.empty()) return BadAddress(text, "no path");
    if (result.unix_path.size() >= sizeof(sockaddr_un::sun_path)) {
      return BadAddress(text, "path too long (limit 107 bytes)");
    }
    return result;
  }
  if (text.substr(0, kInProcessScheme.size()) == kInProcessScheme) {
    result.in_process_name = std::string(text.substr(kInProcessScheme.size()));
    if (result.in_process_name.empty()) return BadAddress(text, "no name");
    return result;
  }
  std::string_view port;
  if (!text.empty() && text[0] == '[') {
    const size_t end = text.find(']');
    if (end == std::string_view::npos || end + 1 >= text.size() || text[end + 1] != ':') {
      return BadAddress(text, "no port after ]");
    }
    result.host = std::string(text.substr(1, end - 1));
    port = text.substr(end + 2);
  } else {
    // The last colon, so that an IPv6 address without brackets is recognized below and not cut at
    // its first group.
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return BadAddress(text, "no port");
    result.host = std::string(text.substr(0, colon));
    port = text.substr(colon + 1);
    if (result.host.find(':') != std::string::npos) {
      return BadAddress(text, "an IPv6 address needs brackets");
    }
  }
  if (result.host.empty()) return BadAddress(text, "no host");
  // Brackets hold an IPv6 address, with a zone perhaps, and never a name.
  if (const std::string_view why = WhyNotAName(result.host); text[0] != '[' && !why.empty()) {
    return BadAddress(text, why);
  }
  uint32_t number = 0;
  // SimpleAtoi alone would take signs and spaces.
  if (port.empty() || port.find_first_not_of("0123456789") != std::string_view::npos ||
      !absl::SimpleAtoi(AbslView(port), &number) || number > 65535) {
    return BadAddress(text, "port is not a number from 0 to 65535");
  }
  result.port = static_cast<uint16_t>(number);
  return result;
}

absl::StatusOr<SocketAddress> SocketAddress::Parse(std::string_view text) {
  absl::StatusOr<HostPort> host_port = HostPort::Parse(text);
  if (!host_port.ok()) return host_port.status();
  absl::StatusOr<SocketAddress> address = From(*host_port);
  if (absl::IsNotFound(address.status())) return BadAddress(text, "host is not a numeric address");
  return address;
}

absl::StatusOr<SocketAddress> SocketAddress::From(const HostPort& host_port) {
  SocketAddress result;
  if (host_port.is_in_process()) {
    return BadAddress(absl::StrCat(AbslView(kInProcessScheme), host_port.in_process_name),
                      "it needs an in-process network (the option `network`)");
  }
  if (host_port.is_unix()) {
    auto* a = reinterpret_cast<sockaddr_un*>(&result.storage_);
    a->sun_family = AF_UNIX;
    const std::string& path = host_port.unix_path;
    std::memcpy(a->sun_path, path.data(), path.size());
    // An abstract name begins with a zero byte and is not terminated.
    const bool abstract = path[0] == '@';
    if (abstract) a->sun_path[0] = '\0';
    result.length_ =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1));
    return result;
  }
  auto* v4 = reinterpret_cast<sockaddr_in*>(&result.storage_);
  if (::inet_pton(AF_INET, host_port.host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(host_port.port);
    result.length_ = sizeof *v4;
    return result;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&result.storage_);
  // inet_pton knows no zones.
  const size_t percent = host_port.host.find('%');
  if (::inet_pton(AF_INET6, host_port.host.substr(0, percent).c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(host_port.port);
    if (percent != std::string::npos) {
      // An interface, or its number as ToString writes it.
      const std::string zone = host_port.host.substr(percent + 1);
      v6->sin6_scope_id = ::if_nametoindex(zone.c_str());
      if (v6->sin6_scope_id == 0 && !absl::SimpleAtoi(zone, &v6->sin6_scope_id)) {
        return absl::InvalidArgumentError(
            absl::StrCat("address \"", host_port.host, "\": no network interface \"", zone, "\""));
      }
    }
    result.length_ = sizeof *v6;
    return result;
  }
  return absl::NotFoundError(absl::StrCat("\"", host_port.host, "\" is not a numeric address"));
}

SocketAddress SocketAddress::FromSockaddr(const sockaddr* address, socklen_t length) {
  SocketAddress result;
  result.length_ = length < sizeof(sockaddr_storage) ? length : socklen_t{sizeof(sockaddr_storage)};
  std::memcpy(&result.storage_, address, result.length_);
  return result;
}

SocketAddress SocketAddress::WithPort(uint16_t port) const {
  SocketAddress result = *this;
  if (family() == AF_INET) reinterpret_cast<sockaddr_in*>(&result.storage_)->sin_port = htons(port);
  if (family() == AF_INET6)
    reinterpret_cast<sockaddr_in6*>(&result.storage_)->sin6_port = htons(port);
  return result;
}

uint16_t SocketAddress::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
  if (family() == AF_INET6)
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_port);
  return 0;
}

std::string SocketAddress::unix_file() const {
  if (!is_unix() || length_ <= offsetof(sockaddr_un, sun_path)) return "";
  return reinterpret_cast<const sockaddr_un*>(&storage_)->sun_path;  // empty for an abstract name
}

std::string SocketAddress::ToString() const {
  char text[INET6_ADDRSTRLEN] = "";
  switch (family()) {
    case AF_INET:
      ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr, text,
                  sizeof text);
      return absl::StrCat(text, ":", port());
    case AF_INET6: {
      const auto* a = reinterpret_cast<const sockaddr_in6*>(&storage_);
      ::inet_ntop(AF_INET6, &a->sin6_addr, text, sizeof text);
      if (a->sin6_scope_id != 0)
        return absl::StrCat("[", text, "%", a->sin6_scope_id, "]:", port());
      return absl::StrCat("[", text, "]:", port());
    }
    case AF_UNIX: {
      const auto* a = reinterpret_cast<const sockaddr_un*>(&storage_);
      const size_t head = offsetof(sockaddr_un, sun_path);
      if (length_ <= head) return "unix:(unnamed)";
      if (a->sun_path[0] != '\0') return absl::StrCat("unix:", a->sun_path);
      return absl::StrCat("unix:@", absl::string_view(a->sun_path + 1, length_ - head - 1));
    }
    default:
      return "(no address)";
  }
}

}  // namespace weft::internal
