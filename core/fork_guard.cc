#include "weft/core/fork_guard.h"

#include <pthread.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"

namespace weft::internal {
namespace {

struct Abandoned {
  std::shared_ptr<const void> thing;
  Abandoned* next;
};
// A list that is never emptied. It keeps the things reachable, so that a leak checker accepts them.
std::atomic<Abandoned*> left_behind{nullptr};

}  // namespace

constinit std::atomic<uint32_t> ForkGuard::current_{0};

// With the first object, not before main; the order of two first ones is of no matter.
ForkGuard::ForkGuard()
    : generation_([] {
        static const int registered = ::pthread_atfork(nullptr, nullptr, &OnForkInChild);
        (void)registered;
        return current_.load(std::memory_order_relaxed);
      }()) {}

void ForkGuard::OnForkInChild() { current_.fetch_add(1, std::memory_order_relaxed); }

absl::Status ForkGuard::Refused(std::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat(AbslView(what),
                   ": this process was forked after it was made; make another one here, or exec"));
}

void ForkGuard::LeaveBehind(std::shared_ptr<const void> thing) {
  // A child has none of the threads that would have to join or unlock, so nothing of the object may
  // be touched, its destructor included.
  auto* left = new Abandoned{std::move(thing), left_behind.load(std::memory_order_relaxed)};
  while (!left_behind.compare_exchange_weak(left->next, left, std::memory_order_acq_rel)) {
  }
}

}  // namespace weft::internal
