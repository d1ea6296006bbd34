// The notification pipe: any thread signals, the loop drains. At most one byte is in flight.
//
// Threads  Signal: any. Drain, Open: the loop thread
// Owns     both ends of the pipe (pipe2, non-blocking, close-on-exec)
// Errors   Open: a Status with errno. Signal cannot fail: the pipe never holds more than one byte,
//          and has its memory from Open on
#ifndef WEFT_CORE_NOTIFY_PIPE_H_
#define WEFT_CORE_NOTIFY_PIPE_H_

#include <atomic>

#include "absl/status/status.h"
#include "weft/core/requirements.h"

namespace weft::internal {

class NotifyPipe {
 public:
  NotifyPipe() = default;
  ~NotifyPipe();
  NotifyPipe(const NotifyPipe&) = delete;
  NotifyPipe& operator=(const NotifyPipe&) = delete;

  absl::Status Open();
  int read_fd() const { return fds_[0]; }

  // Makes read_fd() readable unless it is so already. True when this call wrote the byte.
  bool Signal();

  // Takes the byte out. A Signal that comes between reading and here may be swallowed: the loop
  // looks at its queue after draining and before sleeping.
  void Drain();

 private:
  int fds_[2] = {-1, -1};
  std::atomic<bool> pending_{false};
};

}  // namespace weft::internal

#endif  // WEFT_CORE_NOTIFY_PIPE_H_
