// Items that go on in a worker pool, first in, first out, as many as there are.
//
// Threads  any
// Owns     nothing: the line runs through the items
#ifndef WEFT_CORE_RESUMED_ITEMS_H_
#define WEFT_CORE_RESUMED_ITEMS_H_

#include <atomic>
#include <cstddef>
#include <utility>

#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/core/work_item.h"

namespace weft::internal {

class WEFT_ANY_THREAD ResumedItems {
 public:
  void Push(WorkItem& item) WEFT_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    (first_ == nullptr ? first_ : last_->next_) = &item;
    last_ = &item;
    count_.fetch_add(1, std::memory_order_seq_cst);
  }
  // Null: there is none.
  WorkItem* TryTake() WEFT_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    WorkItem* item = first_;
    if (item != nullptr) {
      first_ = std::exchange(item->next_, nullptr);
      count_.fetch_sub(1, std::memory_order_seq_cst);
    }
    return item;
  }
  size_t size() const { return count_.load(std::memory_order_seq_cst); }
  // As size, and may miss the newest.
  size_t size_seen() const { return count_.load(std::memory_order_relaxed); }
  // Is held while one is taken.
  Mutex& mutex() WEFT_RETURN_CAPABILITY(mu_) { return mu_; }

 private:
  Mutex mu_;
  WorkItem* first_ WEFT_GUARDED_BY(mu_) = nullptr;
  WorkItem* last_ WEFT_GUARDED_BY(mu_) = nullptr;
  std::atomic<size_t> count_{0};
};

}  // namespace weft::internal

#endif  // WEFT_CORE_RESUMED_ITEMS_H_
