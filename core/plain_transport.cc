#include "weft/core/plain_transport.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "weft/core/fd_watch.h"

namespace weft::internal {

ssize_t PlainTransport::Read(const iovec* pieces, int count) {
  ssize_t n;
  do {
    // One piece is the usual case, and the plain call is the cheaper one.
    n = count == 1 ? ::recv(socket_.fd(), pieces[0].iov_base, pieces[0].iov_len, MSG_DONTWAIT)
                   : ::readv(socket_.fd(), pieces, count);
  } while (n < 0 && errno == EINTR);
  return n;
}

ssize_t PlainTransport::Write(const iovec* pieces, int count) {
  // MSG_DONTWAIT spares the look at the descriptor's own flag; MSG_NOSIGNAL keeps a peer that has
  // gone from ending the application.
  constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
  ssize_t n;
  if (count == 1) {
    do {
      n = ::send(socket_.fd(), pieces[0].iov_base, pieces[0].iov_len, kFlags);
    } while (n < 0 && errno == EINTR);
    return n;
  }
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces);
  message.msg_iovlen = static_cast<size_t>(count);
  do {
    n = ::sendmsg(socket_.fd(), &message, kFlags);
  } while (n < 0 && errno == EINTR);
  return n;
}

// Of a unix socket the kernel tells the memory that the bytes take, which is more: never too few.
size_t PlainTransport::Unacknowledged() const {
  int left = 0;
  return ::ioctl(socket_.fd(), SIOCOUTQ, &left) == 0 ? static_cast<size_t>(left) : SIZE_MAX;
}

absl::StatusOr<std::unique_ptr<Watch>> PlainTransport::NewWatch(EventLoop& loop,
                                                                WatchEvents* events) {
  auto watch = std::make_unique<FdWatch>();
  absl::Status started = watch->Start(loop, socket_.fd(), events);
  if (!started.ok()) return started;
  return watch;
}

// A closed TCP socket answers whatever still comes with a reset, and drops what its system has not
// delivered. A unix socket delivers at once.
bool PlainTransport::EndWrites() {
  int domain = AF_UNIX;
  socklen_t size = sizeof domain;
  (void)::getsockopt(socket_.fd(), SOL_SOCKET, SO_DOMAIN, &domain, &size);
  return domain != AF_UNIX && Unacknowledged() > 0 && ::shutdown(socket_.fd(), SHUT_WR) == 0;
}

void PlainTransport::ShutDown() { ::shutdown(socket_.fd(), SHUT_RDWR); }

}  // namespace weft::internal
