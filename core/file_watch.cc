#include "weft/core/file_watch.h"

#include <errno.h>
#include <limits.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "weft/core/absl_view.h"
#include "weft/core/exhausted.h"

namespace weft::internal {
namespace {

// The number of links that the kernel follows, and the number of times that a changing path is
// followed anew at once.
constexpr int kMaxLinks = 40;
constexpr int kMaxWalks = 8;

constexpr uint32_t kOfNames =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB;
constexpr uint32_t kOfDirectories = IN_DELETE_SELF | IN_MOVE_SELF;
constexpr uint32_t kGone = IN_IGNORED | IN_UNMOUNT | kOfDirectories;

using Parts = std::deque<std::string>;

// Puts the parts of `path` in front of those that are left.
void PutBefore(std::string_view path, Parts* left) {
  const std::vector<std::string> parts = absl::StrSplit(AbslView(path), '/', absl::SkipEmpty());
  left->insert(left->begin(), parts.begin(), parts.end());
}

// Returns the link's target; nullopt: `path` is no link, and errno says why.
std::optional<std::string> LinkAt(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t size = ::readlink(path.c_str(), target, sizeof target);
  if (size < 0) return std::nullopt;
  return std::string(target, static_cast<size_t>(size));
}

}  // namespace

FileWatch::FileWatch(EventLoop& loop, std::string path, std::function<void(Change)> changed)
    : loop_(loop), path_(std::move(path)), changed_(std::move(changed)) {}

absl::Status FileWatch::Open() {
  fd_ = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd_ < 0) return Exhausted::Descriptors(errno, absl::StrCat("watch file ", path_));
  absl::Status status = readable_.Start(loop_, fd_, this);
  if (status.ok()) {
    readable_.WatchRead(true);
  } else {
    Stop();
  }
  return status;
}

void FileWatch::Stop() {
  readable_.Stop();
  if (const int fd = std::exchange(fd_, -1); fd >= 0) ::close(fd);
  names_.clear();
  failed_ = absl::OkStatus();
}

absl::Status FileWatch::Follow() {
  if (fd_ < 0) {
    const absl::Status status = Open();
    if (!status.ok()) return status;
  }
  absl::Status status;
  const absl::Status failed = std::exchange(failed_, absl::OkStatus());
  if (!failed.ok()) readable_.WatchRead(true);  // asked for again; a failure comes in a later turn
  for (int walks = 0; walks < kMaxWalks; ++walks) {
    Names now;
    status = Walk(&now);
    const bool same = now == names_;
    for (const auto& [number, names] : names_) {
      if (!now.contains(number)) ::inotify_rm_watch(fd_, number);
    }
    names_ = std::move(now);
    // A name may have changed after it was looked at and before its directory was watched. When
    // all of them have been watched before, such a change is told.
    if (same) break;
  }
  status.Update(failed);
  return status;
}

absl::Status FileWatch::Walk(Names* names) {
  Parts left;
  PutBefore(path_, &left);
  std::string directory;  // without links; empty: the root
  absl::Status status;
  for (int links = 0; !left.empty();) {
    const std::string name = std::move(left.front());
    left.pop_front();
    if (name == ".") continue;
    const std::string path = absl::StrCat(directory, "/", name);
    const std::optional<std::string> target = LinkAt(path);
    const int error = target.has_value() ? 0 : errno;
    // readlink says EINVAL for what is there and no link.
    const bool exists = target.has_value() || error == EINVAL;
    if (exists && !target.has_value() && !left.empty()) {
      directory = path;  // "..", too: what stands before it has no links
      continue;
    }
    status.Update(Add(directory, name, names));
    if (!target.has_value()) return status;  // the file itself, or where the path ends
    if (++links > kMaxLinks) {
      return absl::FailedPreconditionError(absl::StrCat("watch file ", path_, ": too many links"));
    }
    if (!target->empty() && target->front() == '/') directory.clear();
    PutBefore(*target, &left);
  }
  return status;
}

absl::Status FileWatch::Add(const std::string& directory, std::string_view name, Names* names) {
  const std::string path = directory.empty() ? "/" : directory;
  // IN_ONLYDIR: what was a directory a moment ago may be something else by now. IN_EXCL_UNLINK:
  // files that were removed but are still open tell nothing more.
  const int number = ::inotify_add_watch(fd_, path.c_str(),
                                         kOfNames | kOfDirectories | IN_EXCL_UNLINK | IN_ONLYDIR);
  if (number < 0) {
    const int error = errno;
    const std::string what = absl::StrCat("watch directory ", path);
    if (error == ENOSPC) {
      return absl::ResourceExhaustedError(
          absl::StrCat(what, ": no watch left (fs.inotify.max_user_watches)"));
    }
    return Exhausted::Descriptors(error, what);
  }
  // The kernel gives a directory that is watched already the same number, so several names share
  // one watch.
  (*names)[number].emplace(name);
  return absl::OkStatus();
}

void FileWatch::OnReadable() {
  loop_.AssertInLoop();
  // All that waits is read before anybody is told: a file put in place by several steps is told
  // once.
  std::optional<Change> change;
  alignas(inotify_event) char events[16 << 10];
  for (ssize_t size = 0; (size = ::read(fd_, events, sizeof events)) > 0;) {
    for (ssize_t at = 0; at < size;) {
      inotify_event event;
      std::memcpy(&event, events + at, sizeof event);
      const char* const name = events + at + sizeof event;
      at += static_cast<ssize_t>(sizeof event + event.len);
      if ((event.mask & IN_Q_OVERFLOW) != 0) {
        change = Change::kTouched;  // events were lost, of any kind
        continue;
      }
      const auto watched = names_.find(event.wd);
      if (watched == names_.end()) continue;
      if ((event.mask & kGone) != 0) {
        change = Change::kTouched;
        if ((event.mask & IN_IGNORED) != 0) names_.erase(watched);
      } else if (event.len > 0 && watched->second.contains(std::string_view(name))) {
        change = (event.mask & IN_MOVED_TO) != 0 ? Change::kReplaced : Change::kTouched;
      }
    }
  }
  if (change.has_value()) changed_(*change);  // may end the watch
}

void FileWatch::OnWatchFailed(const absl::Status& why) {
  loop_.AssertInLoop();
  failed_ = why;
}

}  // namespace weft::internal
