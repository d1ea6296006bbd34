// An address one can listen on or connect to: IPv4, IPv6 or a unix socket.
//
// Texts: "10.0.0.7:7000", "[::1]:7000", "[fe80::1%eth0]:7000", "unix:/run/x.sock",
// "unix:@abstract". "inproc:name" names a listener of an InProcessNetwork and is no socket's
// address. Host names are not addresses: Resolver makes addresses of them. Port 0 means any free
// one.
//
// Threads  value
// Errors   Parse: INVALID_ARGUMENT that quotes the text and says what is expected
#ifndef WEFT_CORE_SOCKET_ADDRESS_H_
#define WEFT_CORE_SOCKET_ADDRESS_H_

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "weft/core/requirements.h"

namespace weft::internal {

// "host:port" taken apart; the host may be a name. For "unix:..." and "inproc:..." it is empty.
struct HostPort {
  std::string host;
  uint16_t port = 0;
  std::string unix_path;
  std::string in_process_name;
  bool is_unix() const { return !unix_path.empty(); }
  bool is_in_process() const { return !in_process_name.empty(); }

  static absl::StatusOr<HostPort> Parse(std::string_view text);
};

class SocketAddress {
 public:
  SocketAddress() = default;
  static absl::StatusOr<SocketAddress> Parse(std::string_view text);
  // NotFound when `host` is a name rather than a numeric address; INVALID_ARGUMENT for an unknown
  // interface after %, and for an in-process name.
  static absl::StatusOr<SocketAddress> From(const HostPort& host_port);
  static SocketAddress FromSockaddr(const sockaddr* address, socklen_t length);
  SocketAddress WithPort(uint16_t port) const;

  bool operator==(const SocketAddress& o) const {
    return length_ == o.length_ && std::memcmp(&storage_, &o.storage_, length_) == 0;
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t length() const { return length_; }
  int family() const { return storage_.ss_family; }
  bool is_unix() const { return family() == AF_UNIX; }
  // 0 for unix.
  uint16_t port() const;
  // The path of a unix address that stands in the file system; empty for others.
  std::string unix_file() const;
  std::string ToString() const;

 private:
  sockaddr_storage storage_{};
  socklen_t length_ = 0;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_SOCKET_ADDRESS_H_
