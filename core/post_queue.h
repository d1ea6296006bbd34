// Tasks from many threads for one loop: in order per poster, without a lock.
//
//   posters ──push──► head ─► newest ─► … ─► oldest      the loop takes the whole chain
//                                                        and turns it round
//
// Unbounded by itself; what feeds it is bounded (calls in flight, output bytes, accepts).
//
// Threads  Push: any. TakeAll, Close: the loop thread
// Owns     nothing; a task stays its embedder's
// Ends     after Close every Push is answered kClosed, and the task stays with the caller
#ifndef WEFT_CORE_POST_QUEUE_H_
#define WEFT_CORE_POST_QUEUE_H_

#include <atomic>
#include <cstdint>

#include "weft/core/loop_task.h"

namespace weft::internal {

class PostQueue {
 public:
  enum class Pushed : uint8_t {
    kFirst,   // the queue was empty: the loop must be woken if it may sleep
    kBehind,  // somebody else's push has seen to that
    kClosed,  // not queued
  };

  Pushed Push(LoopTask* task) {
    LoopTask* head = head_.load(std::memory_order_relaxed);
    do {
      if (head == Closed()) return Pushed::kClosed;
      task->next_ = head;
    } while (!head_.compare_exchange_weak(head, task, std::memory_order_seq_cst,
                                          std::memory_order_relaxed));
    return head == nullptr ? Pushed::kFirst : Pushed::kBehind;
  }

  // Sequentially consistent, so that "set asleep, then look" cannot miss a push.
  bool empty() const {
    const LoopTask* head = head_.load(std::memory_order_seq_cst);
    return head == nullptr || head == Closed();
  }

  // Everything pushed so far, oldest first.
  TaskList TakeAll() { return Reversed(head_.exchange(nullptr, std::memory_order_acquire)); }

  // The last of them; from now on Push answers kClosed.
  TaskList Close() { return Reversed(head_.exchange(Closed(), std::memory_order_acq_rel)); }

 private:
  static LoopTask* Closed() { return reinterpret_cast<LoopTask*>(uintptr_t{1}); }
  static TaskList Reversed(LoopTask* head) {
    if (head == Closed()) head = nullptr;
    LoopTask* first = nullptr;
    while (head != nullptr) {
      LoopTask* next = head->next_;
      head->next_ = first;
      first = head;
      head = next;
    }
    return TaskList(first);
  }

  std::atomic<LoopTask*> head_{nullptr};
};

}  // namespace weft::internal

#endif  // WEFT_CORE_POST_QUEUE_H_
