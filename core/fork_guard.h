// The process that an object was made in: says in the child of a fork that the object is not at
// home there. Its threads do not exist there, its locks may be held by nobody, and its descriptors
// are the parent's: whoever made use of them would hang, or break the parent's connections.
//
//   class Channel { … const ForkGuard home_; };
//   if (home_.InForkedChild()) return home_.Refused("channel to 10.0.0.7:7000");
//
// Left costs a load and a comparison. A child that calls exec needs none of this: descriptors are
// closed by it. It notices fork and functions that call fork, not a bare clone; vfork and
// posix_spawn are no concern.
//
// Threads  any
// Ends     what is not at home is not torn down either: it is left as it is (LeaveBehind)
#ifndef WEFT_CORE_FORK_GUARD_H_
#define WEFT_CORE_FORK_GUARD_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class WEFT_ANY_THREAD ForkGuard {
 public:
  // This process. The first of all makes forks be counted from then on.
  ForkGuard();
  // True in a process that was forked from the one it was made in.
  bool InForkedChild() const { return generation_ != current_.load(std::memory_order_relaxed); }
  // FAILED_PRECONDITION for whoever uses `what` all the same.
  static absl::Status Refused(std::string_view what);
  // Keeps `thing` for as long as the process lives, without ever destroying it.
  static void LeaveBehind(std::shared_ptr<const void> thing);

 private:
  static void OnForkInChild();
  // How many forks lie between this process and the first one.
  static std::atomic<uint32_t> current_;

  const uint32_t generation_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_FORK_GUARD_H_
