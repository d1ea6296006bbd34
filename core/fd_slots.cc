#include "weft/core/fd_slots.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <thread>

#include <event2/event.h>

#include "weft/core/log.h"
#include "weft/core/thread_log.h"
#include "weft/core/thread_start.h"

namespace weft::internal {
namespace {

struct FreeEvent {
  void operator()(event* e) const { event_free(e); }
};

void Nothing(int, short, void*) {}

bool IsSocket(int fd) {
  struct stat what {};
  return ::fstat(fd, &what) == 0 && S_ISSOCK(what.st_mode);
}

// An event for a moment for each number of the group that is free, or a socket's.
void MakeGroup(event_base* base, int lent, int begin, int end) {
  const std::unique_ptr<event, FreeEvent> moment(event_new(base, lent, EV_READ, &Nothing, nullptr));
  if (moment == nullptr) return;
  const Log nobody;  // a socket may be closed by its owner meanwhile, which is no news
  const ThreadLog lines(nobody);
  const auto make = [&](int fd) {
    if (event_assign(moment.get(), base, fd, EV_READ, &Nothing, nullptr) != 0) return;
    if (event_add(moment.get(), nullptr) == 0) event_del(moment.get());
  };
  for (int fd = begin; fd < end; ++fd) {
    // The copy gets the lowest free number from `fd` on: so the numbers before it are in use. It
    // holds its number while the event for it is made.
    const int copy = ::fcntl(lent, F_DUPFD_CLOEXEC, fd);
    for (const int used_until = copy < 0 ? end : std::min(copy, end); fd < used_until; ++fd) {
      if (IsSocket(fd)) make(fd);
    }
    if (fd < end) make(fd);
    if (copy >= 0) ::close(copy);
  }
}

}  // namespace

void FdSlots::Make(event_base* base, int lent, size_t group) {
  if (group >= made_.size()) made_.resize(group + 1);
  made_[group] = true;
  const int begin = std::max(static_cast<int>(group) * kGroup, kFirst);
  const int end = static_cast<int>(group + 1) * kGroup;
  // A thread of its own has a malloc heap of its own, where these small pieces stand together and
  // hold no page of the loop's.
  absl::StatusOr<std::thread> apart =
      StartThread("weft-slots", [=] { MakeGroup(base, lent, begin, end); });
  if (apart.ok()) {
    apart->join();
  } else {
    MakeGroup(base, lent, begin, end);
  }
}

}  // namespace weft::internal
