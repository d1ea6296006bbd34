// The interface of those that run work items: a pool with its workers, or a loop in its turns.
//
// Threads  any, unless the implementation says otherwise
// Owns     nothing: items stay their embedders'
// Ends     exactly one of Run and Cancel follows each item that was taken
#ifndef WEFT_CORE_WORK_QUEUE_H_
#define WEFT_CORE_WORK_QUEUE_H_

#include "weft/core/work_item.h"

namespace weft::internal {

class WorkQueue {
 public:
  // Something new. False: there is no room for it.
  virtual bool TrySubmit(WorkItem& item) = 0;
  // A further step of what was taken before, behind what waits of others. Never refused.
  virtual void Requeue(WorkItem& item) = 0;
  // A further step of what was taken before, as soon as possible. Never refused, and not counted
  // against any limit.
  virtual void Resume(WorkItem& item) = 0;

 protected:
  virtual ~WorkQueue() = default;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_WORK_QUEUE_H_
