// Addresses as texts: any text. An address that is accepted prints as a text that means the same.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "tests/fuzz/check.h"
#include "weft/core/socket_address.h"

using weft::fuzz::Check;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<weft::internal::HostPort> host_port = weft::internal::HostPort::Parse(text);
  if (host_port.ok()) {
    Check((host_port->is_unix() || host_port->is_in_process()) == host_port->host.empty());
    Check(!(host_port->is_unix() && host_port->is_in_process()));
    const absl::StatusOr<weft::internal::SocketAddress> from =
        weft::internal::SocketAddress::From(*host_port);
    Check(!(from.ok() && host_port->is_in_process()));
  }
  const absl::StatusOr<weft::internal::SocketAddress> address =
      weft::internal::SocketAddress::Parse(text);
  if (!address.ok()) return 0;
  Check(host_port.ok());
  // The printed text may differ ("::0" becomes "::"), but it means the same bytes.
  const std::string said = address->ToString();
  const absl::StatusOr<weft::internal::SocketAddress> again =
      weft::internal::SocketAddress::Parse(said);
  Check(again.ok());
  Check(again->length() == address->length());
  Check(std::memcmp(again->get(), address->get(), address->length()) == 0);
  Check(again->ToString() == said);
  return 0;
}
