// The messages that a stream's reader has taken out of the inbox all at once, so that the next
// reads take no lock.
//
// Their cost is given back one by one as they are read. When the stream ends meanwhile, its end
// gives back the rest at once (DropCost), and the reader then gives back nothing more.
//
// A member of StreamPort.
//
// Threads  the reader's; Fill also under the stream's mutex, DropCost under that mutex from any
//          thread
// Owns     the messages
#ifndef WEFT_RPC_CALL_READ_BATCH_H_
#define WEFT_RPC_CALL_READ_BATCH_H_

#include <atomic>
#include <cstddef>
#include <utility>
#include <vector>

#include "weft/core/check.h"
#include "weft/rpc/call/stream_item.h"

namespace weft::internal {

class ReadBatch {
 public:
  bool empty() const { return next_ == items_.size(); }
  // Frees what was read; before Fill, without the lock.
  void Clear() {
    items_.clear();
    next_ = 0;
  }
  // Swaps `items`, which cost so much together, with the empty batch.
  void Fill(std::vector<StreamItem>* items, size_t cost, const StreamSource& source) {
    WEFT_DCHECK(items_.empty() && !items->empty());
    items_.swap(*items);
    source_ = source;
    unreturned_.store(cost, std::memory_order_relaxed);
  }
  StreamItem Take() {
    WEFT_DCHECK(!empty());
    return std::move(items_[next_++]);
  }
  const StreamSource& source() const { return source_; }

  // Counts `cost` as read, for the caller to give back. False: DropCost has given it back already.
  bool TakeCost(size_t cost) {
    size_t left = unreturned_.load(std::memory_order_relaxed);
    while (left > 0) {
      if (unreturned_.compare_exchange_weak(left, left - cost, std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }
  // All that is left, for the caller to give back.
  size_t DropCost() { return unreturned_.exchange(0, std::memory_order_relaxed); }

 private:
  std::vector<StreamItem> items_;
  // The first message that was not read.
  size_t next_ = 0;
  StreamSource source_;
  // Cost of the messages that were not read; 0 also after DropCost.
  std::atomic<size_t> unreturned_{0};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_READ_BATCH_H_
