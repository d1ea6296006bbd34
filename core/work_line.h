// The items of one share that wait behind those in the ring: a circular table of pointers, so that
// moving them touches none of the items, whose memory is another core's by then.
//
//   slots: [ · | a | b | – | c | · ]     first_ .. end_; –: was taken out of the middle
//
// Threads  value: whoever holds the share's mutex
// Owns     its slots; items stay their embedders'
// Errors   TryAppend: false when there is no memory for more slots
#ifndef WEFT_CORE_WORK_LINE_H_
#define WEFT_CORE_WORK_LINE_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "weft/core/work_item.h"

namespace weft::internal {

class WorkLine {
 public:
  // Puts all of them at the end, or none.
  [[nodiscard]] bool TryAppend(WorkItem* const* items, size_t count);
  // Takes the first ones out, at most `most`; says how many.
  size_t TakeFirst(WorkItem** items, size_t most);
  // Puts items back that TakeFirst has just given, or the last ones of them.
  void PutBack(WorkItem* const* items, size_t count);
  // False: it does not stand here.
  bool Remove(const WorkItem& item);
  // An empty line gives a large table back.
  void Trim();

  // Items that stand here.
  size_t size() const { return size_; }

 private:
  static constexpr size_t kMinSlots = 64;
  // Trim keeps so many.
  static constexpr size_t kMaxKept = 1024;

  WorkItem*& At(uint32_t place) { return slots_[place & (capacity_ - 1)]; }
  bool Grow(size_t wanted);

  std::unique_ptr<WorkItem*[]> slots_;
  uint32_t capacity_ = 0;  // a power of two
  uint32_t first_ = 0;     // places; they wrap
  uint32_t end_ = 0;
  size_t size_ = 0;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_WORK_LINE_H_
