#include "weft/core/idle_trimmer.h"

#include <algorithm>
#include <utility>

namespace weft::internal {
// No thread is the loop's yet.
IdleTrimmer::IdleTrimmer(EventLoop& loop) WEFT_NO_THREAD_ANALYSIS : loop_(loop),
                                                                    timer_(loop, [this] {
                                                                      loop_.AssertInLoop();
                                                                      Look();
                                                                    }) {
  ring_.prev_ = ring_.next_ = &ring_;
  loop_.blocks().SetQuiet(true);  // until there is traffic
}

void IdleTrimmer::Begin() {
  loop_.blocks().SetQuiet(false);
  timer_.StartAfter(kPeriod);
}

void IdleTrimmer::Add(Trimmable& keeps) {
  keeps.prev_ = ring_.prev_;
  keeps.next_ = &ring_;
  keeps.prev_->next_ = ring_.prev_ = &keeps;
}

void IdleTrimmer::Watch(const std::shared_ptr<Trimmable>& keeps) {
  const bool known = std::any_of(watched_.begin(), watched_.end(), [&](const auto& one) {
    return !one.owner_before(keeps) && !keeps.owner_before(one);
  });
  if (!known) watched_.push_back(keeps);
}

void IdleTrimmer::Look() {
  const MonoTime now = loop_.clock().Now();
  bool more = false;
  for (Trimmable* one = ring_.next_; one != &ring_; one = one->next_) {
    if (one->GiveBack(now)) more = true;
  }
  // Held only weakly: their owners end on any thread, and do not come to the loop to leave.
  std::erase_if(watched_, [&](const std::weak_ptr<Trimmable>& one) {
    loop_.AssertInLoop();
    const std::shared_ptr<Trimmable> keeps = one.lock();
    if (keeps != nullptr && keeps->GiveBack(now)) more = true;
    return keeps == nullptr;
  });
  // Last: it gets what the others gave back.
  if (loop_.blocks().Trim()) more = true;
  const uint32_t reads = std::exchange(reads_, 0);
  // A stepped loop shares its thread, and its time is not that of the system.
  if (reads < kBusyReads && !loop_.stepped()) free_pages_.GiveBack();
  if (reads > 0 || more) {
    timer_.StartAfter(kPeriod);
  } else {
    // No timer runs from here on, so nobody would trim what comes back later: the pool keeps
    // nothing until Active.
    loop_.blocks().SetQuiet(true);
  }
}

}  // namespace weft::internal
