#include "weft/core/blocked_thread.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/callback_queue.h"
#include "weft/core/event_loop.h"

namespace weft::internal {

// A closure that goes unrun may hand over another one from its destructor.
BlockedThread::~BlockedThread() {
  Closures left;
  MutexLock lock(mu_);
  ended_ = true;
  // Destroyed without the mutex, since a destructor may call Execute, which takes it.
  left.swap(closures_);
  lock.Unlock();
  left.clear();
}

absl::Status BlockedThread::CheckMayWait(const char* what) {
  const EventLoop* const loop = EventLoop::Current();
  // Any thread but a loop's may wait: the work that it waits for does not need this thread.
  if (loop == nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(
      loop->stepped()
          ? absl::StrCat(what,
                         " inside a simulation would wait for ever, for nothing else runs on its "
                         "one thread meanwhile; await the coroutine, or Spawn it")
          : absl::StrCat(what,
                         " on an I/O thread would wait for itself; await the coroutine, or Spawn "
                         "it"));
}

void BlockedThread::Run(absl::FunctionRef<void()> begin) {
  // Closures that resume the coroutine come to this thread, not to a pool: it has nothing else to
  // do.
  const WaitingScope scope(this);
  begin();
  while (absl::AnyInvocable<void()&&> next = WaitForNext()) {
    const CallbackQueue::MayWait may_wait;
    std::move(next)();
  }
}

absl::AnyInvocable<void() &&> BlockedThread::WaitForNext() {
  MutexLock lock(mu_);
  while (closures_.empty() && !ended_) woken_.Wait(mu_);
  if (ended_) return nullptr;
  absl::AnyInvocable<void()&&> next = std::move(closures_.front());
  closures_.pop_front();
  return next;
}

// Both notify under the mutex: the waiting thread may destroy this as soon as it has that.
void BlockedThread::End() {
  MutexLock lock(mu_);
  ended_ = true;
  woken_.NotifyOne();
}

void BlockedThread::Execute(absl::AnyInvocable<void() &&> closure) {
  MutexLock lock(mu_);
  if (ended_) {
    lock.Unlock();
    // Destroyed here, without the mutex and before the caller goes on; see the destructor.
    closure = nullptr;
    return;
  }
  closures_.push_back(std::move(closure));
  woken_.NotifyOne();
}

}  // namespace weft::internal
