// Tells when what a path leads to may have changed: by inotify.
//
// A file that is replaced by renaming is another file, so what is watched are directories, and in
// each of them one name or more: the directory of the file itself, and of every symbolic link on
// the way to it.
//
//   /etc/weft/members ─► ..data/members        a ConfigMap of Kubernetes: the name "..data" is put
//   /etc/weft/..data  ─► ..2026_11_26          elsewhere by renaming, and with it all the files
//
// Where a directory is missing, the deepest one that is there is watched for its name. Directories
// above it that are no links are not watched: a parent that is renamed shows at the next Follow.
// Events of other names in these directories wake the loop and are passed over. File systems of
// other machines tell nothing: there, poll with SmallFile::StampOf.
//
// Threads  loop-only
// Owns     an inotify descriptor and its watch
// Errors   Follow: what the kernel refuses to watch, or refused after the last Follow; the rest is
//          watched
// Ends     after Stop, or its destruction, no callback comes; both are legal inside one
#ifndef WEFT_CORE_FILE_WATCH_H_
#define WEFT_CORE_FILE_WATCH_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/event_loop.h"
#include "weft/core/fd_watch.h"
#include "weft/core/thread_contract.h"
#include "weft/core/watch.h"

namespace weft::internal {

class FileWatch final : private WatchEvents {
 public:
  enum class Change : uint8_t {
    kReplaced,  // by renaming: what stands there now is whole
    kTouched,   // written, made or removed: there may be more of it to come
  };

  // `path` is absolute. Tells `changed` once for all events that came together: as the last says.
  FileWatch(EventLoop& loop, std::string path, std::function<void(Change)> changed);
  ~FileWatch() WEFT_NO_THREAD_ANALYSIS { Stop(); }
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  // Watches where the path leads now; again after each change. A change that comes after it began
  // is told. The first one begins.
  absl::Status Follow() WEFT_LOOP_ONLY;
  void Stop() WEFT_LOOP_ONLY;

 private:
  using Names = std::map<int, std::set<std::string, std::less<>>>;  // by inotify's number

  absl::Status Open() WEFT_LOOP_ONLY;
  // The directories and names of the path as it is now.
  absl::Status Walk(Names* names) WEFT_LOOP_ONLY;
  absl::Status Add(const std::string& directory, std::string_view name,
                   Names* names) WEFT_LOOP_ONLY;
  // WatchEvents
  void OnReadable() override;
  void OnWritable() override {}
  void OnWatchFailed(const absl::Status& why) override;

  // Fixed at construction.
  EventLoop& loop_;
  const std::string path_;
  const std::function<void(Change)> changed_;
  // The loop's own.
  int fd_ WEFT_LOOP_OWNED = -1;
  FdWatch readable_ WEFT_LOOP_OWNED;
  absl::Status failed_ WEFT_LOOP_OWNED;  // the descriptor is not watched
  Names names_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_FILE_WATCH_H_
