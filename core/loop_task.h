// Something for a loop to do, linked into its queues without an allocation.
//
// Threads  the poster's until posted; then the loop's, until Run or Cancel was called
// Owns     nothing; whoever embeds it keeps it alive until Run or Cancel
// Ends     exactly one of Run and Cancel follows each post
#ifndef WEFT_CORE_LOOP_TASK_H_
#define WEFT_CORE_LOOP_TASK_H_

#include "weft/core/requirements.h"

namespace weft::internal {

class LoopTask {
 public:
  LoopTask() = default;
  LoopTask(const LoopTask&) = delete;
  LoopTask& operator=(const LoopTask&) = delete;

  // On the loop thread. The task may be posted again, or destroyed, from inside.
  virtual void Run() = 0;

  // Instead of Run, when the loop has closed: on the loop thread while it closes, on the poster's
  // after.
  virtual void Cancel() = 0;

 protected:
  virtual ~LoopTask() = default;

 private:
  friend class PostQueue;
  friend class TaskList;
  LoopTask* next_ = nullptr;
};

// Tasks in order, for one thread.
class TaskList {
 public:
  TaskList() = default;
  explicit TaskList(LoopTask* first) : first_(first) {
    for (last_ = first; last_ != nullptr && last_->next_ != nullptr;) last_ = last_->next_;
  }
  bool empty() const { return first_ == nullptr; }
  void Append(LoopTask* task) {
    task->next_ = nullptr;
    (first_ == nullptr ? first_ : last_->next_) = task;
    last_ = task;
  }
  // The first, taken off before it runs so that it may come again; nullptr when there is none.
  LoopTask* Pop() {
    LoopTask* task = first_;
    if (task != nullptr) {
      first_ = task->next_;
      task->next_ = nullptr;
    }
    return task;
  }

 private:
  LoopTask* first_ = nullptr;
  LoopTask* last_ = nullptr;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_LOOP_TASK_H_
