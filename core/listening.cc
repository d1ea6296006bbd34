#include "weft/core/listening.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace weft::internal {
namespace {

// The codes that Socket gives for EADDRNOTAVAIL and EAFNOSUPPORT.
bool IsNotOfThisMachine(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsUnimplemented(status);
}

}  // namespace

absl::StatusOr<std::vector<Listening>> ListenOnAll(const std::vector<SocketAddress>& addresses,
                                                   ListenOptions options,
                                                   std::vector<std::string>* left_out) {
  // With several addresses IPv4 has a socket of its own, which an IPv6 one for both families would
  // collide with.
  options.ipv6_only = addresses.size() > 1;
  absl::Status in_use;
  // Held until the end, or the kernel may give the same port again.
  std::vector<std::vector<Listening>> in_vain;
  for (int i = 0; i < kMaxPortTries; ++i) {
    std::vector<Listening> all;
    absl::Status not_here;
    left_out->clear();
    in_use = absl::OkStatus();
    for (SocketAddress address : addresses) {
      // The kernel chose the first one's port. The others have to get the same, and some other
      // process may hold it there: then all is tried again with another one.
      const bool follows = address.port() == 0 && !all.empty();
      if (follows) address = address.WithPort(all.front().address.port());
      Listening one;
      absl::StatusOr<Socket> socket = Socket::Listen(address, options, &one.file);
      if (socket.ok()) {
        one.socket = *std::move(socket);
        absl::StatusOr<SocketAddress> local = one.socket.LocalAddress();
        if (!local.ok()) return local.status();
        one.address = *local;
        all.push_back(std::move(one));
      } else if (IsNotOfThisMachine(socket.status())) {
        not_here = socket.status();
        left_out->push_back(std::string(socket.status().message()));
      } else if (follows && absl::IsFailedPrecondition(socket.status())) {
        in_use = socket.status();
        break;
      } else {
        return socket.status();
      }
    }
    if (!in_use.ok()) {
      in_vain.push_back(std::move(all));
      continue;
    }
    if (all.empty()) return not_here;
    return all;
  }
  return absl::Status(in_use.code(),
                      absl::StrCat("no port is free on all addresses (", kMaxPortTries,
                                   " tries): ", std::string(in_use.message())));
}

}  // namespace weft::internal
