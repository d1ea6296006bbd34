// A bounded queue of pointers for many producers and many consumers, first in first out, without a
// lock.
//
//   cells: [ turn | item ] × capacity      turn == position: free for that push
//                                          turn == position + 1: holds the item of that push
//
// Threads  any, all methods
// Owns     its cells, not the items
#ifndef WEFT_CORE_WORK_RING_H_
#define WEFT_CORE_WORK_RING_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>

#include "weft/core/thread_contract.h"

namespace weft::internal {

template <typename T>
class WEFT_ANY_THREAD WorkRing {
 public:
  // Holds `capacity` items, rounded up to a power of two; `limit` of them are used.
  explicit WorkRing(size_t limit)
      : mask_(std::bit_ceil(limit < 2 ? size_t{2} : limit) - 1),
        limit_(limit),
        cells_(std::make_unique<Cell[]>(mask_ + 1)) {
    for (size_t i = 0; i <= mask_; ++i) cells_[i].turn.store(i, std::memory_order_relaxed);
  }

  // False when it is full.
  bool TryPush(T* item) { return TryPush(&item, 1) == 1; }
  size_t TryPush(T* const* items, size_t count) {
    return TryPush(items, count, [](size_t) {});
  }

  // Puts in the first ones of `items`, as many as there is room for, and says how many. They stand
  // behind one another: one read-modify-write for all of them. Calls prepare(how many) before the
  // first of them can be taken, unless there is room for none.
  template <typename F>
  size_t TryPush(T* const* items, size_t count, F&& prepare) {
    uint64_t position = pushed_.load(std::memory_order_seq_cst);
    size_t room = 0;
    do {
      // In this order: what is held is never taken for more than it is.
      const auto held = static_cast<int64_t>(position - taken_.load(std::memory_order_seq_cst));
      // Negative: `position` is old, and the exchange says so.
      room = held >= static_cast<int64_t>(limit_)
                 ? 0
                 : limit_ - static_cast<size_t>(std::max<int64_t>(held, 0));
      room = std::min(room, count);
      if (room == 0) return 0;
    } while (!pushed_.compare_exchange_weak(position, position + room, std::memory_order_seq_cst));
    prepare(room);
    for (size_t i = 0; i < room; ++i, ++position) {
      Cell& cell = cells_[position & mask_];
      // A consumer, a whole round behind, may stand between taking this cell's item and freeing it.
      while (cell.turn.load(std::memory_order_acquire) != position) std::this_thread::yield();
      cell.item = items[i];
      cell.turn.store(position + 1, std::memory_order_release);
    }
    return room;
  }

  // The oldest item; nullptr when there is none, or when it is being put in at this moment.
  T* TryTake() {
    uint64_t position = taken_.load(std::memory_order_relaxed);
    for (;;) {
      Cell& cell = cells_[position & mask_];
      const auto ahead =
          static_cast<int64_t>(cell.turn.load(std::memory_order_acquire) - (position + 1));
      if (ahead == 0) {
        if (taken_.compare_exchange_weak(position, position + 1, std::memory_order_seq_cst)) {
          T* item = cell.item;
          cell.turn.store(position + mask_ + 1, std::memory_order_release);
          return item;
        }
      } else if (ahead < 0) {
        return nullptr;
      } else {
        position = taken_.load(std::memory_order_relaxed);
      }
    }
  }

  // A read-modify-write of what every TryTake that finds an item modifies.
  void Synchronize() { taken_.fetch_add(0, std::memory_order_seq_cst); }

  // Items in it, those being put in included. Sequentially consistent: a consumer that announces
  // its sleep and then sees 0 will be seen by whoever pushes later.
  size_t size() const {
    const uint64_t taken = taken_.load(std::memory_order_seq_cst);
    const uint64_t pushed = pushed_.load(std::memory_order_seq_cst);
    return pushed > taken ? static_cast<size_t>(pushed - taken) : 0;
  }
  // How many were ever taken: a consumer's progress.
  uint64_t taken() const { return taken_.load(std::memory_order_relaxed); }
  // How many were ever pushed.
  uint64_t pushed() const { return pushed_.load(std::memory_order_relaxed); }
  size_t limit() const { return limit_; }

 private:
  struct Cell {
    std::atomic<uint64_t> turn;
    T* item = nullptr;
  };

  const uint64_t mask_;
  const size_t limit_;
  const std::unique_ptr<Cell[]> cells_;
  alignas(64) std::atomic<uint64_t> pushed_{0};
  alignas(64) std::atomic<uint64_t> taken_{0};
};

}  // namespace weft::internal

#endif  // WEFT_CORE_WORK_RING_H_
