#include "weft/core/notify_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

namespace weft {

NotifyPipe::~NotifyPipe() {
  for (int fd : fds_) {
    if (fd >= 0) ::close(fd);
  }
}

absl::Status NotifyPipe::Open() {
  if (::pipe2(fds_, O_NONBLOCK | O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "event loop: cannot open its notification pipe");
  }
  return absl::OkStatus();
}

bool NotifyPipe::Signal() {
  if (pending_.exchange(true, std::memory_order_acq_rel)) return false;
  const char byte = 1;
  while (::write(fds_[1], &byte, 1) < 0 && errno == EINTR) {
  }
  return true;
}

void NotifyPipe::Drain() {
  char bytes[8];
  while (::read(fds_[0], bytes, sizeof bytes) < 0 && errno == EINTR) {
  }
  pending_.store(false, std::memory_order_release);
}

}  // namespace weft
