// Something for a worker to do, linked into its queues without an allocation.
//
// Threads  the submitter's until submitted; then one worker's
// Owns     nothing; whoever embeds it keeps it alive until Run or Cancel
// Ends     exactly one of Run and Cancel follows each accepted submission
#ifndef WEFT_CORE_WORK_ITEM_H_
#define WEFT_CORE_WORK_ITEM_H_

namespace weft {

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

 protected:
  virtual ~WorkItem() = default;

 private:
  friend class WorkerPool;
  WorkItem* next_ = nullptr;
};

}  // namespace weft

#endif  // WEFT_CORE_WORK_ITEM_H_
