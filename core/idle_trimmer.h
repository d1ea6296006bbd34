// Gives back what a burst took: what a loop and its users keep to be used again, and no longer
// need.
//
//   traffic:  ──▓▓▓▓▓▓▓▓────▓──────────────────────      Active, with each read
//   looks:        │    │    │    │    │    ·    ·        every kPeriod, until one finds nothing to
//                                                        give back and no traffic since the last
//
// Memory that lay unused for a period is given back at the period's end, so a loop that has been
// idle for two of them holds nothing more. A loop without traffic has no timer running. After a
// period with little traffic the pages of what malloc has free go, too (core/free_pages.h).
//
// Threads  loop-only
// Owns     its timer; refers to the loop, which outlives it, and to what it asks
#ifndef WEFT_CORE_IDLE_TRIMMER_H_
#define WEFT_CORE_IDLE_TRIMMER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "weft/core/event_loop.h"
#include "weft/core/free_pages.h"
#include "weft/core/thread_contract.h"
#include "weft/core/timer.h"

namespace weft::internal {

// Keeps things to be used again.
class Trimmable {
 public:
  Trimmable() = default;
  Trimmable(const Trimmable&) = delete;
  Trimmable& operator=(const Trimmable&) = delete;

  // Gives back those that were not needed since the last call; adds and removes no Trimmable.
  // False: there is no more to give.
  virtual bool GiveBack(MonoTime now) WEFT_LOOP_ONLY = 0;

 protected:
  // Virtual for users who compile with -Wnon-virtual-dtor: nothing is deleted by this type.
  virtual ~Trimmable() { Leave(); }
  // Is not asked any more.
  void Leave() {
    if (next_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    prev_ = next_ = nullptr;
  }

 private:
  friend class IdleTrimmer;
  // In the ring of a trimmer; null: in none.
  Trimmable* prev_ = nullptr;
  Trimmable* next_ = nullptr;
};

class IdleTrimmer {
 public:
  static constexpr Nanos kPeriod = std::chrono::seconds(2);
  // A loop that reads less often in a period has the time to give back its free memory.
  static constexpr uint32_t kBusyReads = 500;

  // Trims the blocks of `loop`, and what is added.
  explicit IdleTrimmer(EventLoop& loop);
  IdleTrimmer(const IdleTrimmer&) = delete;
  IdleTrimmer& operator=(const IdleTrimmer&) = delete;

  // There is traffic on the loop.
  void Active() WEFT_LOOP_ONLY {
    ++reads_;
    if (!timer_.armed()) Begin();
  }
  // Asked until it leaves, or ends: on the loop, before the trimmer does.
  void Add(Trimmable& keeps) WEFT_LOOP_ONLY;
  // The same for one that may end on any thread; once, however often it is said.
  void Watch(const std::shared_ptr<Trimmable>& keeps) WEFT_LOOP_ONLY;

  // It will look again.
  bool watching() const WEFT_LOOP_ONLY { return timer_.armed(); }

 private:
  class Ring final : public Trimmable {
   public:
    bool GiveBack(MonoTime) override { return false; }
  };

  void Begin() WEFT_LOOP_ONLY;
  void Look() WEFT_LOOP_ONLY;

  EventLoop& loop_;
  Timer timer_ WEFT_LOOP_OWNED;
  uint32_t reads_ WEFT_LOOP_OWNED = 0;  // since the last look
  FreePages free_pages_ WEFT_LOOP_OWNED;
  Ring ring_ WEFT_LOOP_OWNED;
  std::vector<std::weak_ptr<Trimmable>> watched_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_IDLE_TRIMMER_H_
