// Listening on every address of a name.
//
// Threads  any
#ifndef WEFT_CORE_LISTENING_H_
#define WEFT_CORE_LISTENING_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "weft/core/socket.h"
#include "weft/core/socket_address.h"
#include "weft/core/unix_socket_file.h"

namespace weft::internal {

struct Listening {
  Socket socket;
  UnixSocketFile file;  // after the socket: removed before it is closed
  SocketAddress address;
};

// How often a port is taken anew for `port 0`, where another address has it in use.
inline constexpr int kMaxPortTries = 10;

// Listens on all of `addresses`; with port 0 on the same port for all of them. Addresses that are
// not this machine's, or whose family it does not have, are left out, and named in `*left_out`,
// unless they are all. Everything else that fails leaves nothing behind.
absl::StatusOr<std::vector<Listening>> ListenOnAll(const std::vector<SocketAddress>& addresses,
                                                   ListenOptions options,
                                                   std::vector<std::string>* left_out);

}  // namespace weft::internal

#endif  // WEFT_CORE_LISTENING_H_
