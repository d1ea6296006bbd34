// Writes log lines to standard error, with time and thread, and never waits for its reader.
//
// Standard error may be a pipe that nobody reads or a terminal that was halted: a thread that waits
// there would stop its connections. A line that cannot be taken at once is left out, and the next
// one that can says how many were. Each line is one write of at most 4 KiB, so lines of several
// threads do not mix. Neither the flags of the descriptor nor those of its file are changed, for
// they are shared with other processes.
//
// A pipe and a terminal are opened anew for each line, without waiting; where that cannot be (no
// descriptor left, no /proc, another user's file) the line is written when poll says that there is
// room. Then it waits only if another writer of the same pipe fills it in between. A reader that
// has gone raises no SIGPIPE, and a file at its largest size no SIGXFSZ. A regular file is written
// to as it is.
//
// Threads  any
// Errors   none: a line that cannot be written is counted
#ifndef WEFT_CORE_STDERR_SINK_H_
#define WEFT_CORE_STDERR_SINK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "weft/core/log.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class WEFT_ANY_THREAD StderrSink final : public LogSink {
 public:
  // Another descriptor than 2: for tests.
  explicit StderrSink(int fd = 2) : fd_(fd) {}

  void Write(LogLevel level, std::string_view line) override;

  // Lines left out that no line has told of yet.
  int64_t left_out() const { return left_out_.load(std::memory_order_relaxed); }

 private:
  const int fd_;
  std::atomic<int64_t> left_out_{0};
  std::atomic<bool> cut_{false};  // the last write ended inside a line
};

}  // namespace weft::internal

#endif  // WEFT_CORE_STDERR_SINK_H_
