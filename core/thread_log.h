// The log for lines that libraries below weft write on this thread: libevent's, protobuf's.
//
// Those libraries have one log for a process, and an application may use them itself. So weft takes
// only lines of threads that are at work for a runtime: its own threads, and a caller's inside of
// weft. A library's handler asks Current().
//
// Threads  value; belongs to the thread that made it
#ifndef WEFT_CORE_THREAD_LOG_H_
#define WEFT_CORE_THREAD_LOG_H_

#include "weft/core/log.h"

namespace weft::internal {

class ThreadLog {
 public:
  // `log` outlives it.
  explicit ThreadLog(const Log& log) : outer_(current_) { current_ = &log; }
  ~ThreadLog() { current_ = outer_; }
  ThreadLog(const ThreadLog&) = delete;
  ThreadLog& operator=(const ThreadLog&) = delete;

  // Null: this thread does nothing for weft.
  static const Log* Current() { return current_; }

 private:
  static constinit thread_local const Log* current_;

  const Log* const outer_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_THREAD_LOG_H_
