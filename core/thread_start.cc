#include "weft/core/thread_start.h"

#include <errno.h>
#include <pthread.h>

#include <new>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/exhausted.h"
#include "weft/core/thread_start_fault.h"

namespace weft::internal {
namespace {

// The kernel keeps 16 bytes of a name, with the zero behind it.
constexpr size_t kMaxName = 15;

}  // namespace

absl::StatusOr<std::thread> StartThread(std::string name, absl::AnyInvocable<void() &&> body) {
  const std::string what = absl::StrCat("cannot start thread ", name);
  int error = EAGAIN;
  if (!ThreadStartFault::Fails()) {
    try {
      // The name is set inside: from outside it would take a descriptor, which may be missing.
      return std::thread([label = name.substr(0, kMaxName), run = std::move(body)]() mutable {
        ::pthread_setname_np(::pthread_self(), label.c_str());
        std::move(run)();
      });
    } catch (const std::system_error& e) {
      error = e.code().value();
    } catch (const std::bad_alloc&) {
      error = ENOMEM;
    }
  }
  return Exhausted::Threads(error, what);
}

}  // namespace weft::internal
