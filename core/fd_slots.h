// Makes the memory in which a loop's libevent keeps the events of each descriptor number, side by
// side.
//
// libevent makes a few bytes with the first event of a number, and keeps them as long as its base
// lives. Made one by one, as connections come, they would stand between the connections' own
// memory, and none of its pages could go when the connections have gone.
//
//   descriptors   0 … 127 | 128 … 511 | 512 … 1023 | …   a group is made with its first descriptor
//
// libevent has no call for that, so each number has an event for a moment: a free one as a copy of
// a descriptor that is lent, one in use, where it is a socket, as it is. A thread does it that has
// nothing else to do, while the loop waits for it, less than a millisecond: malloc has a heap of
// its own for it, and so does not fill holes of the loop's.
//
// Threads  loop-only
// Owns     nothing; takes one descriptor at a time for the moment
// Errors   none: without a thread the loop does it itself, and numbers that could not be made are
//          made by libevent, as they come
#ifndef WEFT_CORE_FD_SLOTS_H_
#define WEFT_CORE_FD_SLOTS_H_

#include <cstddef>
#include <vector>

#include "weft/core/thread_contract.h"

struct event_base;

namespace weft::internal {

class FdSlots {
 public:
  static constexpr int kGroup = 512;
  // The numbers below are made one by one: most processes have no others.
  static constexpr int kFirst = 128;

  // `fd` is about to be watched by `base`. `lent`: a descriptor that can be watched.
  void Cover(event_base* base, int lent, int fd) WEFT_LOOP_ONLY {
    if (fd < kFirst) return;
    const auto group = static_cast<size_t>(fd / kGroup);
    if (group >= made_.size() || !made_[group]) Make(base, lent, group);
  }

 private:
  void Make(event_base* base, int lent, size_t group) WEFT_LOOP_ONLY;

  std::vector<bool> made_ WEFT_LOOP_OWNED;  // by group
};

}  // namespace weft::internal

#endif  // WEFT_CORE_FD_SLOTS_H_
