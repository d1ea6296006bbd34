#include "weft/core/stderr_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace weft::internal {
namespace {

// A pipe takes a write of this size as a whole or not at all.
constexpr size_t kMaxWrite = PIPE_BUF;

char LetterOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return 'D';
    case LogLevel::kInfo:
      return 'I';
    case LogLevel::kWarning:
      return 'W';
    case LogLevel::kError:
    case LogLevel::kOff:
      break;
  }
  return 'E';
}

// "2026-01-31 12:00:00.000000 W weft[4711] "
std::string Head(LogLevel level) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm local{};
  ::localtime_r(&now.tv_sec, &local);
  return absl::StrFormat("%04d-%02d-%02d %02d:%02d:%02d.%06d %c weft[%d] ", local.tm_year + 1900,
                         local.tm_mon + 1, local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec,
                         now.tv_nsec / 1000, LetterOf(level), ::syscall(SYS_gettid));
}

// While it lives a write to a pipe without a reader, or beyond the largest file allowed, fails and
// raises nothing. Both signals go to the thread that wrote.
class WithoutSignals {
 public:
  WithoutSignals() {
    sigset_t pending;
    ::sigpending(&pending);
    ::sigemptyset(&ours_);
    for (const int signal : {SIGPIPE, SIGXFSZ}) {
      // A signal that was pending before is the application's, and stays.
      if (::sigismember(&pending, signal) != 1) ::sigaddset(&ours_, signal);
    }
    ::pthread_sigmask(SIG_BLOCK, &ours_, &before_);
  }
  ~WithoutSignals() {
    // Takes the signals that the write has raised: unblocked, they would be delivered.
    const timespec at_once{};
    while (::sigtimedwait(&ours_, nullptr, &at_once) >= 0 || errno == EINTR) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t ours_;  // those that were not pending before
  sigset_t before_;
};

// The same pipe or terminal, not waiting: its own open file, so that the flag is nobody else's.
ssize_t WriteOpenedAnew(int fd, std::string_view bytes, bool* opened) {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  const int own = ::open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  *opened = own >= 0 || errno == ENXIO;  // ENXIO: a pipe that nobody has open for reading
  if (own < 0) return -1;
  const ssize_t n = ::write(own, bytes.data(), bytes.size());
  ::close(own);
  return n;
}

// How many bytes were taken; what cannot be taken at once is not.
ssize_t WriteAtOnce(int fd, std::string_view bytes) {
  struct stat file;
  if (::fstat(fd, &file) != 0) return -1;
  const WithoutSignals quiet;
  // A regular file never makes its writer wait for a reader.
  if (S_ISREG(file.st_mode)) return ::write(fd, bytes.data(), bytes.size());
  if (S_ISSOCK(file.st_mode)) {
    return ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  if (S_ISFIFO(file.st_mode) || ::isatty(fd) == 1) {
    bool opened = false;
    const ssize_t n = WriteOpenedAnew(fd, bytes, &opened);
    if (opened) return n;
  }
  pollfd room{fd, POLLOUT, 0};
  if (::poll(&room, 1, 0) != 1 || room.revents != POLLOUT) return -1;
  return ::write(fd, bytes.data(), bytes.size());
}

}  // namespace

void StderrSink::Write(LogLevel level, std::string_view line) {
  // A log line must not change what the caller is about to report.
  const int kept_errno = errno;
  const int64_t missed = left_out_.exchange(0, std::memory_order_relaxed);
  const std::string head = Head(level);
  std::string text;
  // Ends the line that the last write left unfinished, or this one would be part of it.
  if (cut_.exchange(false, std::memory_order_relaxed)) text.push_back('\n');
  if (missed > 0) {
    absl::StrAppend(&text, head, missed,
                    " lines were left out: standard error did not take them\n");
  }
  absl::StrAppend(&text, head);
  text.append(line.substr(0, kMaxWrite - std::min(kMaxWrite, text.size() + 1)));
  text += '\n';
  const ssize_t n = WriteAtOnce(fd_, text);
  if (n != static_cast<ssize_t>(text.size())) {
    // The note about the missed lines is lost with this one, so its number counts again.
    left_out_.fetch_add(missed + 1, std::memory_order_relaxed);
    if (n > 0) cut_.store(true, std::memory_order_relaxed);
  }
  errno = kept_errno;
}

}  // namespace weft::internal
