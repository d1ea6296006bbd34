#include "weft/core/unix_socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/socket.h"

namespace weft::internal {
namespace {

// Each try but the last removes one dead file, and loses the name to another process.
constexpr int kBindTries = 10;

enum class Holder : uint8_t { kNone, kLiving };

bool Look(const std::string& path, struct stat* info) { return ::lstat(path.c_str(), info) == 0; }

UnixSocketFile::Identity IdentityOf(const struct stat& info) { return {info.st_dev, info.st_ino}; }

// A name in the same folder that nobody else uses.
std::string NameAside(const std::string& path) {
  uint64_t random = 0;
  if (::getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random) {
    // Early at boot the kernel may have no random bytes yet; an address of the stack and the
    // process have to do.
    random = reinterpret_cast<uintptr_t>(&random) ^ static_cast<uint64_t>(::getpid()) << 32;
  }
  const size_t slash = path.rfind('/');
  return absl::StrCat(slash == std::string::npos ? "" : path.substr(0, slash + 1), ".weft-",
                      absl::Hex(random, absl::kZeroPad16));
}

// Tells if a socket is bound to the file. The probe is a datagram socket and the sought one is a
// stream: so a socket that is bound and does not listen yet answers too (EPROTOTYPE), and none gets
// a connection. ECONNREFUSED is final: no socket can be bound to a file that is there.
Holder HolderOf(const std::string& path) {
  Socket probe(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // Opened, since the name aside may be longer than an address takes.
  const Socket file(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!probe.valid() || !file.valid()) return Holder::kLiving;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string name = path;
  if (name.size() >= sizeof address.sun_path) name = absl::StrCat("/proc/self/fd/", file.fd());
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  const bool refused =
      ::connect(probe.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
      errno == ECONNREFUSED;
  return refused ? Holder::kNone : Holder::kLiving;
}

// Never overwrites: a file that took the place meanwhile stays, and so does the one aside.
void PutBack(const std::string& aside, const std::string& path) {
  if (::renameat2(AT_FDCWD, aside.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) return;
  // The file system cannot; a hard link can, where the system lets us link what another owns.
  if ((errno == EINVAL || errno == ENOSYS) && ::link(aside.c_str(), path.c_str()) == 0) {
    ::unlink(aside.c_str());
  }
}

// Removes the file of a socket that is no more. True: the name was free, if only for a moment.
bool RemoveDead(const std::string& path) {
  struct stat info;
  if (!Look(path, &info)) return errno == ENOENT;
  if (!S_ISSOCK(info.st_mode) || HolderOf(path) == Holder::kLiving) return false;
  // Another file may stand there by now; under a name of our own it cannot change any more.
  const std::string aside = NameAside(path);
  if (::rename(path.c_str(), aside.c_str()) != 0) return errno == ENOENT;
  if (Look(aside, &info) && S_ISSOCK(info.st_mode) && HolderOf(aside) == Holder::kNone) {
    ::unlink(aside.c_str());
    return true;
  }
  PutBack(aside, path);
  return false;
}

absl::StatusOr<std::string> Absolute(const std::string& path) {
  if (path[0] == '/') return path;
  char* folder = ::getcwd(nullptr, 0);
  if (folder == nullptr) return absl::ErrnoToStatus(errno, "look up the working directory");
  std::string absolute = absl::StrCat(folder, "/", path);
  ::free(folder);
  return absolute;
}

}  // namespace

UnixSocketFile& UnixSocketFile::operator=(UnixSocketFile&& o) noexcept {
  // A swap: the other one's destructor then removes the file that this one had.
  std::swap(path_, o.path_);
  std::swap(identity_, o.identity_);
  return *this;
}

absl::StatusOr<UnixSocketFile> UnixSocketFile::Bind(int fd, const SocketAddress& address,
                                                    mode_t mode) {
  const auto failed = [&](int error) {
    return absl::ErrnoToStatus(error, absl::StrCat("bind ", address.ToString()));
  };
  absl::StatusOr<std::string> path = Absolute(address.unix_file());
  if (!path.ok()) return path.status();
  for (int i = 1; ::bind(fd, address.get(), address.length()) != 0; ++i) {
    const int error = errno;
    // Bind comes first and looks only when it has failed: a name that was free needs no look that
    // could be out of date.
    if (error != EADDRINUSE || i == kBindTries || !RemoveDead(*path)) return failed(error);
  }
  struct stat info;
  if (!Look(*path, &info)) return failed(errno);
  if (!S_ISSOCK(info.st_mode)) return failed(EADDRINUSE);  // another's, put there this moment
  UnixSocketFile file;
  file.path_ = *std::move(path);
  file.identity_ = IdentityOf(info);
  // Peers cannot connect before the socket listens, so there is no moment with other permissions.
  if (absl::Status s = mode == 0 ? absl::OkStatus() : file.SetMode(mode); !s.ok()) return s;
  return file;
}

// Sets the mode through a descriptor whose file was compared: the name may have become another's,
// or a link to it.
absl::Status UnixSocketFile::SetMode(mode_t mode) const {
  const Socket held(::open(path_.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat info;
  int error = 0;
  if (!held.valid() || ::fstat(held.fd(), &info) != 0) {
    error = errno;
  } else if (!(IdentityOf(info) == identity_)) {
    error = EADDRINUSE;
  } else if (::chmod(absl::StrCat("/proc/self/fd/", held.fd()).c_str(), mode) != 0) {
    error = errno;
  }
  if (error == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(error, absl::StrCat("set the mode of unix:", path_));
}

void UnixSocketFile::Remove() {
  if (path_.empty()) return;
  const std::string path = std::exchange(path_, {});
  struct stat info;
  // Another's file is not even moved for a moment.
  if (Look(path, &info) && IdentityOf(info) == identity_) TakeAway(path, identity_);
}

void UnixSocketFile::TakeAway(const std::string& path, const Identity& file) {
  const std::string aside = NameAside(path);
  if (::rename(path.c_str(), aside.c_str()) != 0) return;
  struct stat info;
  if (Look(aside, &info) && IdentityOf(info) == file) {
    ::unlink(aside.c_str());
  } else {
    PutBack(aside, path);
  }
}

}  // namespace weft::internal
