#include "tests/support/fed_transport.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "weft/core/fd_watch.h"

namespace weft {

using namespace internal;

FedTransport::FedTransport(FedStream& stream)
    // An eventfd that is never read is readable all the time: libevent calls for each next piece of
    // the input.
    : stream_(stream), fd_(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (fd_ < 0) std::abort();
}

FedTransport::~FedTransport() { ::close(fd_); }

ssize_t FedTransport::Read(const iovec* pieces, int count) {
  const bool end = stream_.at == stream_.input.size();
  if (end && std::exchange(at_end_, true)) return 0;
  if (stream_.before_read) stream_.before_read();
  if (end) {
    // Lets posted tasks run before the end is seen.
    errno = EAGAIN;
    return -1;
  }
  size_t left = std::min(stream_.input.size() - stream_.at, stream_.next_read());
  ssize_t read = 0;
  for (int i = 0; i < count && left > 0; ++i) {
    const size_t n = std::min(left, pieces[i].iov_len);
    std::memcpy(pieces[i].iov_base, stream_.input.data() + stream_.at, n);
    stream_.at += n;
    left -= n;
    read += static_cast<ssize_t>(n);
  }
  return read;
}

ssize_t FedTransport::Write(const iovec* pieces, int count) {
  if (stream_.broken) {
    errno = EPIPE;
    return -1;
  }
  if (stream_.blocked) {
    errno = EAGAIN;
    return -1;
  }
  ssize_t written = 0;
  for (int i = 0; i < count; ++i) {
    stream_.output.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
    written += static_cast<ssize_t>(pieces[i].iov_len);
  }
  return written;
}

absl::StatusOr<std::unique_ptr<Watch>> FedTransport::NewWatch(EventLoop& loop,
                                                              WatchEvents* events) {
  loop.AssertInLoop();
  auto watch = std::make_unique<FdWatch>();
  if (absl::Status s = watch->Start(loop, fd_, events); !s.ok()) return s;
  return watch;
}

}  // namespace weft
