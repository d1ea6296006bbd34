// Reads a members file when it has changed, and settled.
//
//   replaced by renaming ────────────► read at once, unless a reading was just before
//   written, made, removed ─► quiet ─► read         each further change begins the period anew
//   every look_every: another stamp ─► quiet ─► read
//
// The path is watched anew before each reading, so no later change is missed. A file with a new
// stamp is read once more at the next look: two changes within one tick of the file system's clock
// have the same stamp.
//
// Threads  loop-only
// Owns     its watch and timers; shares the loop
// Errors   `tell` gets a Status for a file that cannot be read, or is no view. Without inotify
//          changes are found by looking alone, which is logged once
// Ends     after Stop, or its destruction, `tell` is not called; not from inside it
#ifndef WEFT_RPC_MESH_MEMBERS_FILE_READER_H_
#define WEFT_RPC_MESH_MEMBERS_FILE_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/core/clock.h"
#include "weft/core/event_loop.h"
#include "weft/core/file_watch.h"
#include "weft/core/small_file.h"
#include "weft/core/thread_contract.h"
#include "weft/core/timer.h"
#include "weft/rpc/mesh/view.h"

namespace weft::internal {

class MembersFileReader {
 public:
  struct Settings {
    std::string path;  // absolute
    Nanos look_every;  // 0: never
    Nanos quiet;
    size_t max_bytes;
    bool inotify;
  };
  using Tell = std::function<void(absl::StatusOr<View>)>;

  MembersFileReader(std::shared_ptr<EventLoop> loop, Settings settings, Tell tell);
  MembersFileReader(const MembersFileReader&) = delete;
  MembersFileReader& operator=(const MembersFileReader&) = delete;

  // Not after Stop.
  void Start() WEFT_LOOP_ONLY;
  // Between Start and Stop.
  void ReadNow() WEFT_LOOP_ONLY;
  void Stop() WEFT_LOOP_ONLY;

 private:
  enum class Phase : uint8_t { kIdle, kReads, kStopped };

  void OnChanged(FileWatch::Change change) WEFT_LOOP_ONLY;
  void OnQuiet() WEFT_LOOP_ONLY;
  void OnLook() WEFT_LOOP_ONLY;
  void WaitUntilQuiet() WEFT_LOOP_ONLY;
  void Follow() WEFT_LOOP_ONLY;

  // Fixed at construction.
  const std::shared_ptr<EventLoop> loop_;
  const Settings settings_;
  const Tell tell_;
  // The loop's own.
  FileWatch watch_ WEFT_LOOP_OWNED;
  Timer quiet_ WEFT_LOOP_OWNED;
  Timer look_ WEFT_LOOP_OWNED;
  Phase phase_ WEFT_LOOP_OWNED = Phase::kIdle;
  absl::Status followed_ WEFT_LOOP_OWNED;
  SmallFile::Stamp read_stamp_ WEFT_LOOP_OWNED;
  bool sure_ WEFT_LOOP_OWNED = false;  // read_stamp_ was read twice
  // The stamp when the quiet period began; none: the period goes by events alone.
  std::optional<SmallFile::Stamp> quiet_stamp_ WEFT_LOOP_OWNED;
  std::optional<MonoTime> last_read_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_MEMBERS_FILE_READER_H_
