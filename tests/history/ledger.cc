#include "tests/history/ledger.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace weft::test {

absl::StatusOr<std::unique_ptr<Ledger>> Ledger::Open(const std::string& path, size_t keys) {
  const auto failed = [&path](const char* what) {
    return absl::UnavailableError(absl::StrCat(what, " ", path, ": ", std::strerror(errno)));
  };
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return failed("open");
  void* mapped = MAP_FAILED;
  if (::ftruncate(fd, static_cast<off_t>(keys)) == 0) {
    mapped = ::mmap(nullptr, keys, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  const absl::Status status = mapped == MAP_FAILED ? failed("map") : absl::OkStatus();
  ::close(fd);
  if (!status.ok()) return status;
  // The file's bytes are the counters: other processes add to them without a lock.
  static_assert(sizeof(std::atomic<uint8_t>) == 1 && std::atomic<uint8_t>::is_always_lock_free);
  return std::unique_ptr<Ledger>(new Ledger(static_cast<std::atomic<uint8_t>*>(mapped), keys));
}

Ledger::~Ledger() { ::munmap(executions_, keys_); }

}  // namespace weft::test
