#include "weft/core/small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "weft/core/exhausted.h"

namespace weft::internal {
namespace {

constexpr size_t kStep = size_t{64} << 10;

SmallFile::Stamp StampFrom(const struct stat& facts) {
  const auto nanos = [](const timespec& t) {
    return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
  };
  SmallFile::Stamp stamp;
  stamp.device = facts.st_dev;
  stamp.inode = facts.st_ino;
  stamp.size = static_cast<uint64_t>(facts.st_size);
  stamp.modified_ns = nanos(facts.st_mtim);
  // The time of the change of the inode, too: whoever writes a file can set its modification time
  // back.
  stamp.changed_ns = nanos(facts.st_ctim);
  return stamp;
}

absl::Status TooLarge(const std::string& path, size_t max_bytes) {
  return absl::InvalidArgumentError(
      absl::StrCat("file ", path, " is too large (limit ", max_bytes, " bytes)"));
}

absl::StatusOr<std::string> ReadAll(int fd, const std::string& path, size_t max_bytes) {
  std::string bytes;
  while (true) {
    const size_t had = bytes.size();
    // One byte more than may be: then it is seen.
    bytes.resize(had + std::min(kStep, max_bytes - had + 1));
    ssize_t got = 0;
    do {
      got = ::read(fd, bytes.data() + had, bytes.size() - had);
    } while (got < 0 && errno == EINTR);
    if (got < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read file ", path));
    bytes.resize(had + static_cast<size_t>(got));
    if (bytes.size() > max_bytes) return TooLarge(path, max_bytes);
    if (got == 0) return bytes;
  }
}

}  // namespace

SmallFile::Stamp SmallFile::StampOf(const std::string& path) {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) == 0) return StampFrom(facts);
  Stamp none;
  none.error = errno;
  return none;
}

absl::StatusOr<std::string> SmallFile::Read(const std::string& path, size_t max_bytes) {
  // O_NONBLOCK: opening a pipe would wait for a writer. O_NOCTTY: a terminal must not become the
  // process's own.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return Exhausted::Descriptors(errno, absl::StrCat("open file ", path));
  const auto close = absl::MakeCleanup([fd] { ::close(fd); });
  struct stat before {
  }, after{};
  if (::fstat(fd, &before) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("stat ", path));
  if (!S_ISREG(before.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat("file ", path, " is no regular file"));
  }
  if (static_cast<uint64_t>(before.st_size) > max_bytes) return TooLarge(path, max_bytes);
  absl::StatusOr<std::string> bytes = ReadAll(fd, path, max_bytes);
  if (!bytes.ok()) return bytes;
  // A file that another replaces meanwhile stays whole; one that is written in place does not.
  if (::fstat(fd, &after) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("stat ", path));
  const bool same = after.st_size == before.st_size &&
                    StampFrom(after).modified_ns == StampFrom(before).modified_ns;
  if (!same) return absl::AbortedError(absl::StrCat("file ", path, " changed while it was read"));
  return bytes;
}

}  // namespace weft::internal
