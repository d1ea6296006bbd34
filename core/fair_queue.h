// A worker pool's queue of new items, bounded, fair to those who fill it: a connection that submits
// thousands makes no other wait for them.
//
//   TryPush ─┬─ the only item of its share, and none of it waits ──► express ──┐
//            ├─ fewer than a quantum of its share in the ring ─────► ring ─────┼─► TryTake
//            └─ more ──► the share's own line ──(as its items leave the ring)──┘
//
// The ring is first in, first out, and holds at most a quantum of each share: so it goes round the
// shares, and each of them gets as much of the workers as the others. Items of one share are taken
// in the order in which they were pushed.
//
// Express items are taken first. A share that used the express may use it again when all that stood
// in the ring then has been taken, so that many who come one at a time starve nobody. This is the
// rule for new flows of FQ-CoDel (RFC 8290).
//
// The fast path, of a share with less than a quantum in the ring, takes no lock and allocates
// nothing. Items of a share go into the ring in groups of half a quantum at most, and the last item
// of a group carries the weight of all: so there is one read-modify-write of the ring's counter and
// one of the share's for a group that is pushed, and one of the share's for a group that was taken.
//
// `limit` bounds the items that wait. A share's part is the limit divided by the shares that have a
// line. At the limit, items of a share that holds its part are refused; items of others are taken,
// until twice the limit waits. Items that go straight to ring or express need only room there:
// `limit` and kMaxExpress.
//
// Threads  any, all methods
// Owns     its cells; items and shares stay their embedders'
// Errors   TryPush says what was refused
// Ends     an item that was pushed comes out of TryTake, Withdraw or WithdrawAll, once
#ifndef WEFT_CORE_FAIR_QUEUE_H_
#define WEFT_CORE_FAIR_QUEUE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/core/work_item.h"
#include "weft/core/work_ring.h"
#include "weft/core/work_share.h"

namespace weft::internal {

class WEFT_ANY_THREAD FairQueue {
 public:
  static constexpr int32_t kMinQuantum = 8;
  // Items that may be in the express at once; others go into the ring.
  static constexpr size_t kMaxExpress = 1024;

  // `quantum`: items of one share that may stand in the ring, at least kMinQuantum.
  FairQueue(size_t limit, int32_t quantum);

  // Queues those of `items` that there is room for, and says how many. The refused ones stand at
  // the end of `items` then, in their order.
  size_t TryPush(WorkItem** items, size_t count);
  // Queues an item that was taken before, behind the others. Never refuses it.
  void Push(WorkItem& item);
  // The next; nullptr when there is none, or when it is being put in at this moment.
  WorkItem* TryTake();

  // Takes `item` out if it stands in its share's own line. False: it is in the ring, or was taken.
  bool Withdraw(WorkItem& item);
  // Takes out all that stands in the share's own line; calls `f` with each, in their order, when
  // that is done.
  template <typename F>
  void WithdrawAll(WorkShare& share, F f) {
    for (WorkItem* item = TakeLine(share); item != nullptr;) {
      WorkItem* const next = std::exchange(item->next_, nullptr);
      f(*item);
      item = next;
    }
  }

  // Passes all that TryTake passes when it takes an item: what a taker did before an item that it
  // has taken by now is seen from here on, and one that takes later sees what was done before this.
  void Synchronize();

  // Items that wait. Sequentially consistent, as WorkRing::size.
  size_t size() const {
    return ring_.size() + express_.size() + parked_.load(std::memory_order_seq_cst);
  }
  // True: items wait. The same as size() > 0, and cheaper where many wait.
  bool any() const {
    return ring_.size() > 0 || parked_.load(std::memory_order_seq_cst) > 0 || express_.size() > 0;
  }
  // How many were ever taken: a consumer's progress.
  uint64_t taken() const { return ring_.taken() + express_.taken(); }
  size_t limit() const { return limit_; }
  int32_t quantum() const { return quantum_; }

 private:
  size_t PushAlone(WorkItem** items, size_t count);
  size_t PushOfShare(WorkShare& share, WorkItem** items, size_t count);
  size_t PushDirect(WorkShare& share, WorkItem** items, size_t count);
  int32_t PushGroups(WorkShare& share, WorkItem** items, int32_t wanted);
  size_t Park(WorkShare& share, WorkItem** items, size_t count, bool bounded);
  // How many more items may wait in the share's line.
  size_t RoomFor(const WorkShare& share) const;
  // So much of the share's quantum is free again. The share is not touched afterwards.
  void Release(WorkShare& share, int32_t weight);
  void RefillLine(WorkShare& share);
  void Refill(WorkShare& share) WEFT_REQUIRES(share.mu_);
  WorkItem* TakeLine(WorkShare& share);
  void CountParked(WorkShare& share, ptrdiff_t change) WEFT_REQUIRES(share.mu_);
  void Strand(WorkItem& item);
  WorkItem* TakeStranded();

  const size_t limit_;
  const int32_t quantum_;
  WorkRing<WorkItem> ring_;
  WorkRing<WorkItem> express_;

  // Changed only where a share has used up its quantum.
  alignas(64) std::atomic<size_t> parked_{0};  // of all shares, and the stranded
  std::atomic<size_t> lines_{0};               // shares that have parked items
  std::atomic<size_t> stranded_{0};

  // Items that were taken in and found the ring full of others' when their turn in it came.
  Mutex stranded_mu_;
  WorkItem* stranded_first_ WEFT_GUARDED_BY(stranded_mu_) = nullptr;
  WorkItem* stranded_last_ WEFT_GUARDED_BY(stranded_mu_) = nullptr;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_FAIR_QUEUE_H_
