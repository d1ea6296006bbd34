#include "weft/core/event_base.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string_view>
#include <vector>

#include <event2/event.h>

#include "weft/core/exhausted.h"
#include "weft/core/thread_log.h"

namespace weft::internal {
namespace {

constexpr std::string_view kBackEnd = "epoll";

// Descriptors that were free; they are again when it goes.
class TakenDescriptors {
 public:
  ~TakenDescriptors() {
    for (int i = 0; i < count_; ++i) ::close(fds_[i]);
  }

  // The very kinds that libevent takes, then copies.
  absl::Status Take() {
    fds_[count_] = ::epoll_create1(EPOLL_CLOEXEC);
    if (fds_[count_] < 0) return Failed("epoll");
    ++count_;
    if (::pipe2(fds_ + count_, O_NONBLOCK | O_CLOEXEC) != 0) return Failed("a pipe for signals");
    count_ += 2;
    while (count_ < kAll) {
      // The margin: other threads may take descriptors between the release of these and libevent's
      // own calls.
      fds_[count_] = ::fcntl(fds_[0], F_DUPFD_CLOEXEC, 0);
      if (fds_[count_] < 0) return Failed("a margin of descriptors");
      ++count_;
    }
    return absl::OkStatus();
  }

 private:
  static constexpr int kAll = EventBase::kDescriptors + EventBase::kSpare;

  static absl::Status Failed(const char* what) {
    const int error = errno;
    return Exhausted::Descriptors(error, std::string("event loop: cannot take ") + what);
  }

  int fds_[kAll];
  int count_ = 0;
};

void OnLibeventLine(int severity, const char* line) {
  if (severity == EVENT_LOG_DEBUG) return;
  const Log* const log = ThreadLog::Current();
  if (log == nullptr) {  // as libevent does without a callback
    const char* const level = severity == EVENT_LOG_MSG    ? "msg"
                              : severity == EVENT_LOG_WARN ? "warn"
                                                           : "err";
    std::fprintf(stderr, "[%s] %s\n", level, line);
    return;
  }
  log->WriteForeign(severity == EVENT_LOG_MSG    ? LogLevel::kInfo
                    : severity == EVENT_LOG_WARN ? LogLevel::kWarning
                                                 : LogLevel::kError,
                    "libevent", line);
}

struct FreeConfig {
  void operator()(event_config* config) const { event_config_free(config); }
};

// Every back end of libevent's but kBackEnd. The names are constants of libevent.
std::vector<const char*> OtherBackEnds() {
  std::vector<const char*> others;
  for (const char** method = event_get_supported_methods(); *method != nullptr; ++method) {
    if (*method != kBackEnd) others.push_back(*method);
  }
  return others;
}

absl::Status NoMemory() {
  return Exhausted::Descriptors(ENOMEM, "event loop: cannot make an event_base");
}

}  // namespace

absl::StatusOr<event_base*> EventBase::New() {
  // The handler is the process's, so it is set once; lines are told apart by thread
  // (core/thread_log.h).
  static const bool log_set = (event_set_log_callback(&OnLibeventLine), true);
  (void)log_set;
  const std::unique_ptr<event_config, FreeConfig> config(event_config_new());
  if (config == nullptr) return NoMemory();
  // Other threads enter through the notification pipe only, so the base needs no locks. Timers are
  // ours, on one timerfd that is set when the earliest changes: libevent's precise timers set it in
  // every turn.
  event_config_set_flag(config.get(), EVENT_BASE_FLAG_NOLOCK);
  event_config_set_flag(config.get(), EVENT_BASE_FLAG_IGNORE_ENV);
  // Once for the process: each call frees the list that the call before returned, which another
  // thread may still read.
  static const std::vector<const char*> others = OtherBackEnds();
  // When epoll fails libevent would try its other back ends and end the process if all of them
  // fail.
  for (const char* method : others) {
    if (event_config_avoid_method(config.get(), method) != 0) return NoMemory();
  }
  {
    // libevent calls exit() where it cannot have its pipe for signals. So its descriptors are tried
    // out here and are free again when this scope ends.
    TakenDescriptors taken;
    if (absl::Status s = taken.Take(); !s.ok()) return s;
  }
  event_base* const base = event_base_new_with_config(config.get());
  if (base == nullptr) {
    const int error = errno;
    return Exhausted::Descriptors(error != 0 ? error : ENOMEM,
                                  "event loop: cannot make an event_base");
  }
  return base;
}

}  // namespace weft::internal
