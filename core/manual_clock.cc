#include "weft/core/manual_clock.h"

#include <memory>

#include "weft/core/event_loop.h"

namespace weft {

using namespace internal;

namespace {

// Counts those who have not seen the new time yet.
class Round {
 public:
  void Expect() {
    MutexLock lock(mu_);
    ++left_;
  }
  void Seen() {
    MutexLock lock(mu_);
    if (--left_ == 0) all_seen_.NotifyAll();
  }
  void Wait() {
    MutexLock lock(mu_);
    while (left_ > 0) all_seen_.Wait(mu_);
  }

 private:
  Mutex mu_;
  CondVar all_seen_;
  int left_ WEFT_GUARDED_BY(mu_) = 0;
};

}  // namespace

ManualClock::ManualClock() = default;

ManualClock::~ManualClock() {
  MutexLock lock(mu_);
  // A loop that still ends reads this clock; its Unwatch is the last that it does with it.
  while (!watchers_.empty()) unwatched_.Wait(mu_);
}

void ManualClock::Advance(Nanos d) {
  now_.fetch_add(d.count(), std::memory_order_acq_rel);
  // Shared: on a loop's thread this function returns before the watchers have answered.
  const auto round = std::make_shared<Round>();
  {
    // Under the mutex a watcher stays; afterwards it answers even if it ends.
    MutexLock lock(mu_);
    for (ClockWatcher* watcher : watchers_) {
      round->Expect();
      watcher->OnClockMoved([round] { round->Seen(); });
    }
  }
  // A loop's thread does not wait: its own loop is one of the watchers.
  if (EventLoop::Current() == nullptr) round->Wait();
}

void ManualClock::Watch(ClockWatcher* watcher) const {
  MutexLock lock(mu_);
  watchers_.insert(watcher);
}

void ManualClock::Unwatch(ClockWatcher* watcher) const {
  MutexLock lock(mu_);
  watchers_.erase(watcher);
  unwatched_.NotifyAll();  // under the mutex: the destructor may wait for it
}

}  // namespace weft
