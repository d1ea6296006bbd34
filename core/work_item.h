// Something for a worker to do, linked into its queues without an allocation.
//
// Threads  the submitter's until submitted; then one worker's
// Owns     nothing; whoever embeds it keeps it alive until Run or Cancel
// Ends     exactly one of Run and Cancel follows each accepted submission
#ifndef WEFT_CORE_WORK_ITEM_H_
#define WEFT_CORE_WORK_ITEM_H_

#include <cstdint>

#include "weft/core/requirements.h"

namespace weft::internal {

class WorkShare;

class WorkItem {
 public:
  WorkItem() = default;
  WorkItem(const WorkItem&) = delete;
  WorkItem& operator=(const WorkItem&) = delete;

  // On a worker. `worker` is its number, from 0, below the pool's most threads: for what is kept
  // per worker.
  virtual void Run(int worker) = 0;
  // Instead of Run, when the pool has stopped.
  virtual void Cancel() = 0;

  // The share of a pool's queue that it counts against; null: none. Set before the item is
  // submitted. The share outlives the item.
  void SetShare(WorkShare* share) { share_ = share; }
  WorkShare* share() const { return share_; }

 protected:
  virtual ~WorkItem() = default;

 private:
  friend class FairQueue;
  friend class WorkLine;
  friend class ResumedItems;
  WorkShare* share_ = nullptr;
  WorkItem* next_ = nullptr;
  int32_t weight_ = 0;  // of its group, in the last item of one that stands in a ring; else 0
  uint32_t place_ = 0;  // in its share's WorkLine, under the share's mutex; old when it has left
};

}  // namespace weft::internal

#endif  // WEFT_CORE_WORK_ITEM_H_
