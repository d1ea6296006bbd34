// An owned file descriptor and the system calls of sockets, each a Status.
//
// Every socket made here is non-blocking and close-on-exec; TCP ones have TCP_NODELAY.
//
// Threads  value
// Owns     its descriptor, closed with it
// Errors   a Status that names the call, the address and errno
#ifndef WEFT_CORE_SOCKET_H_
#define WEFT_CORE_SOCKET_H_

#include <sys/types.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/core/clock.h"
#include "weft/core/socket_address.h"

namespace weft::internal {

class UnixSocketFile;

struct ListenOptions {
  // The kernel's queue of connections not yet accepted.
  int backlog = 4096;
  // The permissions of a unix socket's file; 0: as the umask has them.
  mode_t unix_mode = 0;
  // An IPv6 wildcard takes no IPv4 connections, because the IPv4 one is listened on besides.
  bool ipv6_only = false;
};

class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  Socket& operator=(Socket&& o) noexcept {
    std::swap(fd_, o.fd_);
    return *this;
  }
  ~Socket() { Close(); }

  int fd() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }
  void Close();

  // A listening socket. A unix path that an ended process left behind is replaced; one that a
  // socket is bound to is not. `*file` removes that of a unix address: before the socket is closed.
  static absl::StatusOr<Socket> Listen(const SocketAddress& address, const ListenOptions& options,
                                       UnixSocketFile* file);
  // The same; a unix socket's file stays.
  static absl::StatusOr<Socket> Listen(const SocketAddress& address, int backlog);
  // Begins to connect; the socket becomes writable when that is decided. `*connected`: it is so
  // already.
  static absl::StatusOr<Socket> StartConnect(const SocketAddress& address, bool* connected);
  // The outcome of a started connect.
  absl::Status ConnectResult() const;

  absl::StatusOr<SocketAddress> LocalAddress() const;
  absl::StatusOr<SocketAddress> PeerAddress() const;

  // TCP_NODELAY, and TCP_USER_TIMEOUT when `lost_after` is not zero: the kernel gives up on data
  // that stays unacknowledged for so long. Nothing for unix sockets.
  void SetTcpOptions(Nanos lost_after) const;
  // TCP_NOTSENT_LOWAT: the kernel takes no more while so many bytes are not sent yet. Nothing for
  // unix sockets.
  void SetMaxUnsent(size_t bytes) const;

 private:
  int fd_ = -1;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_SOCKET_H_
