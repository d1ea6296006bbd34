#include "weft/core/exhausted.h"

#include <errno.h>
#include <sys/resource.h>

#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"

namespace weft::internal {
namespace {

std::string LimitOf(__rlimit_resource_t resource) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) return "unknown";
  return limit.rlim_cur == RLIM_INFINITY ? "unlimited" : absl::StrCat(limit.rlim_cur);
}

std::string Reason(int error, std::string_view what) {
  return absl::StrCat(AbslView(what), ": ", std::strerror(error));
}

}  // namespace

absl::Status Exhausted::Descriptors(int error, std::string_view what) {
  switch (error) {
    case EMFILE:
      return absl::ResourceExhaustedError(absl::StrCat(
          Reason(error, what), " (RLIMIT_NOFILE of this process: ", LimitOf(RLIMIT_NOFILE), ")"));
    case ENFILE:
      return absl::ResourceExhaustedError(
          absl::StrCat(Reason(error, what), " (fs.file-max of the machine, or its pipes' pages)"));
    case ENOMEM:
    case ENOBUFS:
      return absl::ResourceExhaustedError(Reason(error, what));
    default:
      return absl::ErrnoToStatus(error, AbslView(what));
  }
}

absl::Status Exhausted::Threads(int error, std::string_view what) {
  return absl::ResourceExhaustedError(
      absl::StrCat(Reason(error, what), " (threads: RLIMIT_NPROC ", LimitOf(RLIMIT_NPROC),
                   ", pids.max of the cgroup, kernel.threads-max; memory for a stack: RLIMIT_AS ",
                   LimitOf(RLIMIT_AS), ")"));
}

}  // namespace weft::internal
