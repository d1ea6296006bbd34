// For tests: a machine that has no thread to spare. While one lives, StartThread on the thread that
// made it fails, once so many have started.
//
// Threads  belongs to the thread that made it; others are not concerned
#ifndef WEFT_CORE_THREAD_START_FAULT_H_
#define WEFT_CORE_THREAD_START_FAULT_H_

#include "weft/core/requirements.h"

namespace weft::internal {

class ThreadStartFault {
 public:
  // `after`: so many starts succeed first.
  explicit ThreadStartFault(int after);
  ~ThreadStartFault();
  ThreadStartFault(const ThreadStartFault&) = delete;
  ThreadStartFault& operator=(const ThreadStartFault&) = delete;

  int failed() const { return failed_; }

  // Asked once for each start.
  static bool Fails();

 private:
  static thread_local ThreadStartFault* current_;

  ThreadStartFault* const outer_;
  int left_;
  int failed_ = 0;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_THREAD_START_FAULT_H_
