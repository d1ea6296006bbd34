// A membership read from a file. The file is read again whenever it changes.
//
//   auto members = weft::MembersFile::Create("/etc/weft/members");
//   weft::NodeOptions options;
//   options.members = *std::move(members);
//
// The format is that of rpc/mesh/members_file_parser.h: a name and an address a line. A file with a
// fault is refused whole, and the last view stays. Write a new file and rename it over the old one:
// it is read at once. A file written in place is read when nothing has changed it for `quiet`; a
// writer that pauses longer between two lines is taken for done.
//
// Symbolic links are followed, and each step of the path is watched, so a Kubernetes ConfigMap can
// be mounted as it is.
//
// Threads  any
// Owns     a thread with a loop, unless it is given one
// Errors   Create: RESOURCE_EXHAUSTED without a thread or descriptors, INVALID_ARGUMENT without a
//          path. A file that cannot be read, or is no view, is told as an error, with the line
// Ends     as Membership; it may be destroyed inside `changed`
#ifndef WEFT_RPC_MESH_MEMBERS_FILE_H_
#define WEFT_RPC_MESH_MEMBERS_FILE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/core/event_loop.h"
#include "weft/core/log.h"
#include "weft/core/loop_bell.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/mesh/members_file_reader.h"
#include "weft/rpc/mesh/membership.h"
#include "weft/rpc/mesh/view_teller.h"

namespace weft {

struct MembersFileOptions {
  // How often the file's size, times and inode are checked as well. Finds changes on file systems
  // without notifications (NFS). Zero: never. Infinite: as never.
  absl::Duration look_every = absl::Seconds(1);
  // How long a file written in place must stay unchanged before it is read. Zero: it is
  // read at once. Infinite: refused, for it would never be read.
  absl::Duration quiet = absl::Milliseconds(50);
  // A larger file is refused.
  size_t max_bytes = size_t{4} << 20;
  // False: finds changes by `look_every` alone.
  bool inotify = true;
  // A loop of weft's own tests that reads the file; reading may block it as long as the disk takes.
  // Null: a thread of its own.
  std::shared_ptr<internal::EventLoop> loop = nullptr;
  // Log of the own thread. Null: standard error.
  std::shared_ptr<LogSink> log_sink = nullptr;
};

class WEFT_ANY_THREAD MembersFile final : public Membership {
 public:
  // A relative path is resolved now, against the process's current directory.
  static absl::StatusOr<std::shared_ptr<MembersFile>> Create(std::string path,
                                                             MembersFileOptions options = {});
  ~MembersFile() override;
  MembersFile(const MembersFile&) = delete;
  MembersFile& operator=(const MembersFile&) = delete;

  // With a thread of its own: calls `changed` there with the first view or error before it returns.
  // On a given loop: later.
  void Start(Changed changed) override;
  // Reads the file at once, changed or not.
  void AskAgain() override;
  void Stop() override;

 private:
  MembersFile(std::shared_ptr<internal::EventLoop> loop, std::thread thread,
              internal::MembersFileReader::Settings settings);

  const std::shared_ptr<internal::EventLoop> loop_;
  std::thread thread_;  // none: the loop was given
  const std::shared_ptr<internal::ViewTeller> teller_;
  const std::shared_ptr<internal::MembersFileReader> reader_;
  const std::shared_ptr<internal::LoopBell> ask_again_;
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_MEMBERS_FILE_H_
