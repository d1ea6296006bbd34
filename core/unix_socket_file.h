// The file of a bound unix socket. Removes that file, and no other that has taken its name.
//
// A file is known by device and inode, not by its path. As long as the socket is open its inode is
// not given to another file; so remove the file before the socket is closed.
//
// Remove renames the file to a name of its own in the same folder, compares, and then unlinks it,
// or puts another's file back without overwriting what took its place meanwhile.
//
// Threads  value
// Owns     the file, once bound; not the socket
// Errors   Bind: a Status that names the address and errno
// Ends     Remove and the destructor remove the file, also after a chdir; Leave does not
#ifndef WEFT_CORE_UNIX_SOCKET_FILE_H_
#define WEFT_CORE_UNIX_SOCKET_FILE_H_

#include <sys/types.h>

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "weft/core/socket_address.h"

namespace weft::internal {

class UnixSocketFile {
 public:
  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const Identity& o) const { return device == o.device && inode == o.inode; }
  };

  UnixSocketFile() = default;
  UnixSocketFile(UnixSocketFile&& o) noexcept { *this = std::move(o); }
  UnixSocketFile& operator=(UnixSocketFile&& o) noexcept;
  ~UnixSocketFile() { Remove(); }

  // Binds `fd`, a unix socket that does not listen yet, to an address with a file. A socket's file
  // that no socket of any process is bound to any more is replaced; every other file stays, and is
  // EADDRINUSE. `mode`: the file's permissions, in place before anybody can connect; 0: as the
  // umask has it.
  static absl::StatusOr<UnixSocketFile> Bind(int fd, const SocketAddress& address, mode_t mode);

  void Remove();
  // The file stays from now on.
  void Leave() { path_.clear(); }
  // Absolute; empty: there is none.
  const std::string& path() const { return path_; }

  // Removes what stands at `path` if it is `file`, without a look beforehand.
  static void TakeAway(const std::string& path, const Identity& file);

 private:
  absl::Status SetMode(mode_t mode) const;

  std::string path_;
  Identity identity_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_UNIX_SOCKET_FILE_H_
