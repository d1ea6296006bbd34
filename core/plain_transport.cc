#include "weft/core/plain_transport.h"

#include <errno.h>
#include <sys/socket.h>

namespace weft {

ssize_t PlainTransport::Read(const iovec* pieces, int count) {
  ssize_t n;
  do {
    n = ::readv(socket_.fd(), pieces, count);
  } while (n < 0 && errno == EINTR);
  return n;
}

ssize_t PlainTransport::Write(const iovec* pieces, int count) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces);
  message.msg_iovlen = static_cast<size_t>(count);
  ssize_t n;
  do {
    n = ::sendmsg(socket_.fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  return n;
}

void PlainTransport::ShutDown() { ::shutdown(socket_.fd(), SHUT_RDWR); }

}  // namespace weft
