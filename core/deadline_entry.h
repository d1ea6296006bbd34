// The place of a deadline in a DeadlineWheel (core/deadline_wheel.h), a part of the thing that has
// the deadline.
//
// Threads  loop-only, the wheel's
// Ends     removed from its wheel before it goes
#ifndef WEFT_CORE_DEADLINE_ENTRY_H_
#define WEFT_CORE_DEADLINE_ENTRY_H_

#include "weft/core/clock.h"

namespace weft::internal {

class DeadlineEntry {
 public:
  DeadlineEntry() = default;
  DeadlineEntry(const DeadlineEntry&) = delete;
  DeadlineEntry& operator=(const DeadlineEntry&) = delete;
  virtual void OnDeadline() = 0;
  bool in_wheel() const { return prev_ != nullptr; }

 protected:
  // Virtual for users who compile with -Wnon-virtual-dtor: nothing is deleted by this type.
  virtual ~DeadlineEntry() = default;

 private:
  friend class DeadlineWheel;
  DeadlineEntry* prev_ = nullptr;
  DeadlineEntry* next_ = nullptr;
  MonoTime at_ = kNever;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_DEADLINE_ENTRY_H_
