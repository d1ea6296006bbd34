// Thousands of deadlines behind one timer: insert and remove in constant time, no system call a
// deadline.
//
//   slot = (deadline in ticks) mod kSlots; an entry further away than one revolution waits in its
//   slot for its round. The timer is set for the earliest deadline known; when it fires, the slots
//   that went by are looked through once and the earliest of what remains is found again. Removing
//   an entry leaves the timer alone.
//
// Deadlines are kept to a tick (kTick); an entry is told at or after its deadline, never before.
//
// Threads  loop-only
// Owns     nothing; an entry belongs to whoever embeds it and must be removed before it goes
// Ends     OnDeadline runs at most once an insert, never after Remove; it may insert and remove any
//          entry
#ifndef WEFT_CORE_DEADLINE_WHEEL_H_
#define WEFT_CORE_DEADLINE_WHEEL_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "weft/core/clock.h"
#include "weft/core/deadline_entry.h"
#include "weft/core/event_loop.h"
#include "weft/core/thread_contract.h"
#include "weft/core/timer.h"

namespace weft::internal {

class DeadlineWheel {
 public:
  static constexpr Nanos kTick = std::chrono::milliseconds(1);
  static constexpr size_t kSlots = 512;

  explicit DeadlineWheel(EventLoop& loop);
  ~DeadlineWheel();
  DeadlineWheel(const DeadlineWheel&) = delete;
  DeadlineWheel& operator=(const DeadlineWheel&) = delete;

  // `at` may lie in the past: told in the next turn. kNever is not inserted.
  void Insert(DeadlineEntry* entry, MonoTime at) WEFT_LOOP_ONLY;
  void Remove(DeadlineEntry* entry) WEFT_LOOP_ONLY;

  size_t size() const WEFT_LOOP_ONLY { return size_; }

 private:
  struct Slot final : DeadlineEntry {
    void OnDeadline() override {}
  };
  static int64_t TickOf(MonoTime at) { return at.time_since_epoch() / kTick; }
  void Advance() WEFT_LOOP_ONLY;
  void CollectDue(Slot& slot, MonoTime now, Slot& due) WEFT_LOOP_ONLY;
  void Rearm() WEFT_LOOP_ONLY;
  static void Link(DeadlineEntry* head, DeadlineEntry* entry);
  static void Unlink(DeadlineEntry* entry);

  EventLoop& loop_;
  std::array<Slot, kSlots> slots_ WEFT_LOOP_OWNED;
  int64_t last_tick_ WEFT_LOOP_OWNED;  // every deadline in a tick before this one has been told
  size_t size_ WEFT_LOOP_OWNED = 0;
  Timer timer_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_DEADLINE_WHEEL_H_
