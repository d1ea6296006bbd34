#include "weft/core/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/exhausted.h"
#include "weft/core/unix_socket_file.h"

namespace weft::internal {
namespace {

absl::Status Failed(int error, std::string_view what, const SocketAddress& address) {
  if (error == EADDRNOTAVAIL) {  // absl says ALREADY_EXISTS
    return absl::InvalidArgumentError(
        absl::StrCat(AbslView(what), " ", address.ToString(), ": no address of this machine"));
  }
  return Exhausted::Descriptors(error, absl::StrCat(AbslView(what), " ", address.ToString()));
}

void SetInt(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

absl::StatusOr<Socket> NewStreamSocket(const SocketAddress& address) {
  Socket s(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!s.valid()) return Failed(errno, "make a socket for", address);
  // Set on listeners, too: the sockets they accept inherit it without a system call each.
  if (!address.is_unix()) SetInt(s.fd(), IPPROTO_TCP, TCP_NODELAY, 1);
  return s;
}

}  // namespace

void Socket::Close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

absl::StatusOr<Socket> Socket::Listen(const SocketAddress& address, const ListenOptions& options,
                                      UnixSocketFile* file) {
  absl::StatusOr<Socket> s = NewStreamSocket(address);
  if (!s.ok()) return s.status();
  UnixSocketFile bound;
  if (!address.unix_file().empty()) {
    absl::StatusOr<UnixSocketFile> made = UnixSocketFile::Bind(s->fd(), address, options.unix_mode);
    if (!made.ok()) return made.status();
    bound = *std::move(made);
  } else {
    // A server that starts again gets its port although connections of its former life are in
    // TIME_WAIT.
    if (!address.is_unix()) SetInt(s->fd(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (address.family() == AF_INET6) {
      SetInt(s->fd(), IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6_only ? 1 : 0);
    }
    if (::bind(s->fd(), address.get(), address.length()) != 0) {
      return Failed(errno, "bind", address);
    }
  }
  if (::listen(s->fd(), options.backlog) != 0) {
    const int error = errno;
    // While the socket is open: a closed one's inode may be another file's.
    bound.Remove();
    return Failed(error, "listen on", address);
  }
  *file = std::move(bound);
  return s;
}

absl::StatusOr<Socket> Socket::Listen(const SocketAddress& address, int backlog) {
  UnixSocketFile file;
  absl::StatusOr<Socket> s = Listen(address, ListenOptions{.backlog = backlog}, &file);
  // This overload has no owner for the file, so it stays.
  file.Leave();
  return s;
}

absl::StatusOr<Socket> Socket::StartConnect(const SocketAddress& address, bool* connected) {
  absl::StatusOr<Socket> s = NewStreamSocket(address);
  if (!s.ok()) return s.status();
  *connected = ::connect(s->fd(), address.get(), address.length()) == 0;
  // With EINTR the connect goes on in the kernel, as with EINPROGRESS.
  if (!*connected && errno != EINPROGRESS && errno != EINTR)
    return Failed(errno, "connect", address);
  return s;
}

absl::Status Socket::ConnectResult() const {
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error != 0) return absl::ErrnoToStatus(error, "connect");
  return absl::OkStatus();
}

absl::StatusOr<SocketAddress> Socket::LocalAddress() const {
  sockaddr_storage a{};
  socklen_t length = sizeof a;
  if (::getsockname(fd_, reinterpret_cast<sockaddr*>(&a), &length) != 0) {
    return absl::ErrnoToStatus(errno, "getsockname");
  }
  return SocketAddress::FromSockaddr(reinterpret_cast<sockaddr*>(&a), length);
}

absl::StatusOr<SocketAddress> Socket::PeerAddress() const {
  sockaddr_storage a{};
  socklen_t length = sizeof a;
  if (::getpeername(fd_, reinterpret_cast<sockaddr*>(&a), &length) != 0) {
    return absl::ErrnoToStatus(errno, "getpeername");
  }
  return SocketAddress::FromSockaddr(reinterpret_cast<sockaddr*>(&a), length);
}

void Socket::SetTcpOptions(Nanos lost_after) const {
  SetInt(fd_, IPPROTO_TCP, TCP_NODELAY, 1);  // fails on unix sockets, which have no such delay
  if (lost_after > Nanos::zero()) {
    SetInt(fd_, IPPROTO_TCP, TCP_USER_TIMEOUT,
           static_cast<int>(
               std::chrono::duration_cast<std::chrono::milliseconds>(lost_after).count()));
  }
}

void Socket::SetMaxUnsent(size_t bytes) const {
  SetInt(fd_, IPPROTO_TCP, TCP_NOTSENT_LOWAT, static_cast<int>(std::min<size_t>(bytes, INT_MAX)));
}

}  // namespace weft::internal
