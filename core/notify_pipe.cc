#include "weft/core/notify_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "weft/core/exhausted.h"

namespace weft::internal {

NotifyPipe::~NotifyPipe() {
  for (int fd : fds_) {
    if (fd >= 0) ::close(fd);
  }
}

absl::Status NotifyPipe::Open() {
  if (::pipe2(fds_, O_NONBLOCK | O_CLOEXEC) != 0) {
    return Exhausted::Descriptors(errno, "event loop: cannot open its notification pipe");
  }
  // A pipe takes a page for its first byte and keeps it: so a later Signal needs no memory.
  char byte = 0;
  if (::write(fds_[1], &byte, 1) != 1 || ::read(fds_[0], &byte, 1) != 1) {
    return Exhausted::Descriptors(errno, "event loop: cannot write to its notification pipe");
  }
  return absl::OkStatus();
}

bool NotifyPipe::Signal() {
  // One byte at most is in the pipe, so a write can never find it full.
  if (pending_.exchange(true, std::memory_order_acq_rel)) return false;
  const char byte = 1;
  // ENOMEM: a kernel that has given the pipe's page back all the same. Without the byte the loop
  // would sleep on.
  while (::write(fds_[1], &byte, 1) < 0 && (errno == EINTR || errno == ENOMEM)) {
    ::sched_yield();
  }
  return true;
}

void NotifyPipe::Drain() {
  char bytes[8];
  while (::read(fds_[0], bytes, sizeof bytes) < 0 && errno == EINTR) {
  }
  // After the read, which else might take a new byte. A Signal before this writes none, and need
  // not: the loop is awake, and runs what was posted before it sleeps.
  pending_.store(false, std::memory_order_release);
}

}  // namespace weft::internal
