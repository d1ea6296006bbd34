// Reads a small file whole: settings, certificates, lists; and says whether there is a newer one.
//
// Threads  any; functions without state
// Errors   Read: a Status that names the file and errno; INVALID_ARGUMENT for what is no regular
//          file or too large; ABORTED where the file changed while it was read
#ifndef WEFT_CORE_SMALL_FILE_H_
#define WEFT_CORE_SMALL_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class WEFT_ANY_THREAD SmallFile {
 public:
  // Tells one state of a file from another without reading it. Two changes within one tick of the
  // file system's clock may leave the same stamp.
  struct Stamp {
    int error = 0;  // errno where there is no such file, or it cannot be looked at
    uint64_t device = 0, inode = 0, size = 0;
    int64_t modified_ns = 0, changed_ns = 0;
    bool operator==(const Stamp& o) const {
      return error == o.error && device == o.device && inode == o.inode && size == o.size &&
             modified_ns == o.modified_ns && changed_ns == o.changed_ns;
    }
  };
  // Symbolic links are followed.
  static Stamp StampOf(const std::string& path);

  // At most `max_bytes`. Opening does not wait, as it would for a pipe that nobody writes to.
  static absl::StatusOr<std::string> Read(const std::string& path, size_t max_bytes);
};

}  // namespace weft::internal

#endif  // WEFT_CORE_SMALL_FILE_H_
