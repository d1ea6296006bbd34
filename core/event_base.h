// Makes libevent's event_base for a loop, so that libevent neither ends the process nor writes to
// standard error.
//
// libevent calls exit(1) when the pipe that it makes for signals cannot be had. So the descriptors
// that it needs are taken first, and some to spare, and given back just before it takes its own: a
// process that lacks them gets a status. Its back ends other than epoll are forbidden, for they
// would be tried, and fail in the same way, where epoll cannot be had.
//
// The window that is left: other threads of the process would have to take more than kSpare
// descriptors, and hold them, between giving back and taking: microseconds. libevent's callback for
// fatal errors would not close it, for what it is called by exits when it returns; it is the
// process's, cannot be read back, and is left to the application.
//
// libevent's log is the process's too. The first event_base sets its callback, which writes to the
// log of the runtime that the thread is at work for (core/thread_log.h), and, on threads that have
// nothing to do with weft, to standard error as libevent itself would. An application that wants
// libevent's lines itself sets its own callback after it has made its first runtime, server or
// channel.
//
// Threads  any
// Errors   RESOURCE_EXHAUSTED that names what has run out
#ifndef WEFT_CORE_EVENT_BASE_H_
#define WEFT_CORE_EVENT_BASE_H_

#include "absl/status/statusor.h"
#include "weft/core/thread_contract.h"

struct event_base;

namespace weft::internal {

class WEFT_ANY_THREAD EventBase {
 public:
  // libevent's own: epoll, and both ends of a pipe.
  static constexpr int kDescriptors = 3;
  // More that must be free when one is made, as a margin against other threads.
  static constexpr int kSpare = 13;

  // Without locks; freed by event_base_free.
  static absl::StatusOr<event_base*> New();
};

}  // namespace weft::internal

#endif  // WEFT_CORE_EVENT_BASE_H_
