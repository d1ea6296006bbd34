#include "weft/core/work_line.h"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

#include "weft/core/check.h"

namespace weft::internal {

bool WorkLine::TryAppend(WorkItem* const* items, size_t count) {
  if (end_ - first_ + count > capacity_ && !Grow(size_ + count)) return false;
  for (size_t i = 0; i < count; ++i) {
    // Places count on and on, wrapping; At takes them modulo the capacity, which is a power of two.
    items[i]->place_ = end_;
    At(end_++) = items[i];
  }
  size_ += count;
  return true;
}

// Makes room for `wanted` items, holes not counted.
bool WorkLine::Grow(size_t wanted) {
  const size_t capacity = std::max(kMinSlots, std::bit_ceil(wanted));
  std::unique_ptr<WorkItem*[]> slots(new (std::nothrow) WorkItem*[capacity]);
  if (slots == nullptr) return false;
  uint32_t count = 0;
  for (uint32_t place = first_; place != end_; ++place) {
    WorkItem* const item = At(place);
    if (item == nullptr) continue;
    item->place_ = count;
    slots[count++] = item;
  }
  WEFT_DCHECK(count == size_);
  slots_ = std::move(slots);
  capacity_ = static_cast<uint32_t>(capacity);
  first_ = 0;
  end_ = count;
  return true;
}

size_t WorkLine::TakeFirst(WorkItem** items, size_t most) {
  size_t count = 0;
  for (; count < most && first_ != end_; ++first_) {
    // Null: a hole that Remove has left.
    if (WorkItem* const item = std::exchange(At(first_), nullptr)) items[count++] = item;
  }
  size_ -= count;
  return count;
}

void WorkLine::PutBack(WorkItem* const* items, size_t count) {
  while (count > 0) {
    WorkItem* const item = items[--count];
    // There is room: the items were taken from these places, and nothing was appended since.
    item->place_ = --first_;
    At(first_) = item;
    ++size_;
  }
}

bool WorkLine::Remove(const WorkItem& item) {
  // The place may be an old one, of an item that was taken since; the slot decides. Places wrap, so
  // their differences are compared.
  const uint32_t place = item.place_;
  if (size_ == 0 || place - first_ >= end_ - first_ || At(place) != &item) return false;
  // A hole instead of moving up all behind it. Grow and TakeFirst pass over it.
  At(place) = nullptr;
  --size_;
  return true;
}

void WorkLine::Trim() {
  if (size_ > 0 || capacity_ <= kMaxKept) return;
  slots_.reset();
  capacity_ = first_ = end_ = 0;
}

}  // namespace weft::internal
