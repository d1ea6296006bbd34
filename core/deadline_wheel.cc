#include "weft/core/deadline_wheel.h"

#include <algorithm>

#include "weft/core/check.h"

namespace weft::internal {

DeadlineWheel::DeadlineWheel(EventLoop& loop) WEFT_NO_THREAD_ANALYSIS
    : loop_(loop),
      last_tick_(TickOf(loop.clock().Now())),
      timer_(loop, [this] {
        loop_.AssertInLoop();
        Advance();
      }) {
  // Each slot is the head of a ring, so that Unlink needs neither the slot nor a special case for
  // its ends.
  for (Slot& slot : slots_) slot.prev_ = slot.next_ = &slot;
}

DeadlineWheel::~DeadlineWheel() WEFT_NO_THREAD_ANALYSIS { WEFT_DCHECK(size_ == 0); }

void DeadlineWheel::Link(DeadlineEntry* head, DeadlineEntry* entry) {
  entry->prev_ = head->prev_;
  entry->next_ = head;
  head->prev_->next_ = entry;
  head->prev_ = entry;
}

void DeadlineWheel::Unlink(DeadlineEntry* entry) {
  entry->prev_->next_ = entry->next_;
  entry->next_->prev_ = entry->prev_;
  // Null says `in_wheel() == false`.
  entry->prev_ = entry->next_ = nullptr;
}

void DeadlineWheel::Insert(DeadlineEntry* entry, MonoTime at) {
  WEFT_DCHECK(!entry->in_wheel());
  if (at == kNever) return;
  entry->at_ = at;
  // An entry that is late already goes into the slot where the next look begins.
  const int64_t tick = std::max(TickOf(at), last_tick_);
  Link(&slots_[static_cast<size_t>(tick) % kSlots], entry);
  ++size_;
  // Only an earlier deadline moves the timer: most are later than one that is there, and cost
  // nothing.
  if (!timer_.armed() || at < timer_.at()) timer_.StartAt(at);
}

void DeadlineWheel::Remove(DeadlineEntry* entry) {
  if (!entry->in_wheel()) return;
  // The timer stays as it is: a look for nothing costs less than a search for the next deadline
  // with each call that ends.
  Unlink(entry);
  --size_;
}

void DeadlineWheel::CollectDue(Slot& slot, MonoTime now, Slot& due) {
  for (DeadlineEntry* entry = slot.next_; entry != &slot;) {
    DeadlineEntry* next = entry->next_;
    if (entry->at_ <= now) {
      Unlink(entry);
      Link(&due, entry);
    }
    entry = next;
  }
}

void DeadlineWheel::Advance() {
  const MonoTime now = loop_.clock().Now();
  const int64_t tick = TickOf(now);
  Slot due;
  due.prev_ = due.next_ = &due;
  // From the slot of the last look on, whose tick had not passed then; after a long gap each slot
  // once. Entries of later rounds stand in the same slots, so CollectDue compares times.
  const int64_t first = std::max(last_tick_, tick - static_cast<int64_t>(kSlots) + 1);
  for (int64_t t = first; t <= tick; ++t)
    CollectDue(slots_[static_cast<size_t>(t) % kSlots], now, due);
  last_tick_ = tick;
  // Out of the lists first, one by one then: a callback may remove another that is due.
  while (due.next_ != &due) {
    DeadlineEntry* entry = due.next_;
    Unlink(entry);
    --size_;
    // May destroy the entry, and insert or remove others.
    entry->OnDeadline();
  }
  Rearm();
}

void DeadlineWheel::Rearm() {
  if (size_ == 0) return;
  // The first slot with an entry of this round has the earliest: what lies behind it comes later,
  // in this round or another. With thousands of deadlines close together that is the next slot or
  // the one after.
  MonoTime earliest = kNever;
  const int64_t end = last_tick_ + static_cast<int64_t>(kSlots);
  for (int64_t tick = last_tick_; tick < end; ++tick) {
    const Slot& slot = slots_[static_cast<size_t>(tick) % kSlots];
    for (const DeadlineEntry* e = slot.next_; e != &slot; e = e->next_)
      earliest = std::min(earliest, e->at_);
    if (earliest != kNever && TickOf(earliest) <= tick) break;
  }
  timer_.StartAt(earliest);
}

}  // namespace weft::internal
