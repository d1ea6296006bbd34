#include "weft/core/fair_queue.h"

#include <algorithm>
#include <utility>

namespace weft::internal {
namespace {

// Items of a line that are moved into the ring at once.
constexpr int32_t kMaxMoved = 64;

}  // namespace

FairQueue::FairQueue(size_t limit, int32_t quantum)
    : limit_(std::max<size_t>(1, limit)),
      quantum_(std::max(kMinQuantum, quantum)),
      ring_(limit_),
      express_(std::min(limit_, kMaxExpress)) {}

inline void FairQueue::Release(WorkShare& share, int32_t weight) {
  // Half a quantum of room before the line is moved up: a refill for each item would take the mutex
  // each time.
  const int32_t left = share.in_ring_.fetch_sub(weight, std::memory_order_seq_cst) - weight;
  if (share.parked_.load(std::memory_order_seq_cst) == 0 || left > quantum_ / 2) return;
  RefillLine(share);
}

size_t FairQueue::TryPush(WorkItem** items, size_t count) {
  size_t refused = 0;
  for (size_t i = 0; i < count;) {
    WorkShare* const share = items[i]->share_;
    size_t end = i + 1;
    // Items of one share stand together in a batch that a connection read, so that one look at its
    // counters serves all of them.
    while (end < count && items[end]->share_ == share) ++end;
    const size_t taken =
        share != nullptr ? PushOfShare(*share, items + i, end - i) : PushAlone(items + i, end - i);
    for (size_t k = i + taken; k < end; ++k) items[refused++] = items[k];
    i = end;
  }
  // The refused were gathered at the front, in their order; the contract has them at the end.
  if (refused > 0) std::move_backward(items, items + refused, items + count);
  return count - refused;
}

// Items without a share go straight to the ring.
size_t FairQueue::PushAlone(WorkItem** items, size_t count) {
  size_t done = 0;
  while (done < count && size() < limit_ && ring_.TryPush(items[done])) ++done;
  return done;
}

size_t FairQueue::PushOfShare(WorkShare& share, WorkItem** items, size_t count) {
  size_t done = 0;
  // Items go behind those that wait in the line already, or behind an express item that is not
  // taken yet.
  if (share.parked_.load(std::memory_order_acquire) == 0) done = PushDirect(share, items, count);
  if (done < count) done += Park(share, items + done, count - done, /*bounded=*/true);
  return done;
}

size_t FairQueue::PushDirect(WorkShare& share, WorkItem** items, size_t count) {
  // May be old where several threads push for one share. The quantum is a matter of fairness alone;
  // memory is bounded by the ring.
  const int32_t held = share.in_ring_.load(std::memory_order_relaxed);
  if (held >= quantum_) return 0;
  // Express: alone, none of its share before it, and all that stood in the ring at its last express
  // item has been taken.
  if (count == 1 && held == 0 &&
      ring_.taken() >= share.next_express_.load(std::memory_order_relaxed)) {
    // Heavier than a quantum: what comes behind it waits in the line until it has been taken, and
    // so does not overtake it.
    share.next_express_.store(ring_.pushed(), std::memory_order_relaxed);
    share.in_ring_.fetch_add(WorkShare::kExpressWeight, std::memory_order_relaxed);
    items[0]->weight_ = WorkShare::kExpressWeight;
    if (express_.TryPush(items[0])) return 1;
    // The express was full. The item goes into the ring as any other, with no weight that TryTake
    // would release.
    items[0]->weight_ = 0;
    Release(share, WorkShare::kExpressWeight);
  }
  // The first ones fit beside others' lines, as long as the ring has room.
  const auto wanted = static_cast<int32_t>(std::min(count, static_cast<size_t>(quantum_ - held)));
  const int32_t done = PushGroups(share, items, wanted);
  if (done < wanted) Release(share, wanted - done);
  return static_cast<size_t>(done);
}

// Counts `wanted` items as the share's and puts them into the ring, as many as it has room for, in
// groups: the last item of a group carries the weight of all. The caller takes back what was
// counted too much.
int32_t FairQueue::PushGroups(WorkShare& share, WorkItem** items, int32_t wanted) {
  share.in_ring_.fetch_add(wanted, std::memory_order_relaxed);
  int32_t done = 0;
  for (int32_t size = 0; done < wanted; done += size) {
    WorkItem** const group = items + done;
    const int32_t most = std::min(quantum_ / 2, wanted - done);
    size = static_cast<int32_t>(ring_.TryPush(group, static_cast<size_t>(most), [&](size_t n) {
      group[n - 1]->weight_ = static_cast<int32_t>(n);
    }));
    if (size == 0) break;
  }
  return done;
}

size_t FairQueue::RoomFor(const WorkShare& share) const {
  const auto own = static_cast<size_t>(share.waiting());
  const size_t all = size();
  // At least its own: a worker that takes the last of it counts the line out before its items.
  const size_t counted = lines_.load(std::memory_order_relaxed) + (share.parked() == 0 ? 1 : 0);
  const size_t lines = std::max<size_t>(1, counted);
  const size_t part = limit_ / lines;
  const size_t room = all < limit_ ? limit_ - all : 0;
  const size_t beyond = all < 2 * limit_ ? 2 * limit_ - all : 0;
  return std::max(room, std::min(own < part ? part - own : 0, beyond));
}

size_t FairQueue::Park(WorkShare& share, WorkItem** items, size_t count, bool bounded) {
  // RoomFor reads counters without the mutex: several threads that push at once may pass the limit
  // by their batches.
  if (bounded) count = std::min(count, RoomFor(share));
  if (count == 0) return 0;
  MutexLock lock(share.mu_);
  if (!share.line_.TryAppend(items, count)) {
    if (bounded) return 0;
    // No memory for a longer line.
    lock.Unlock();
    // These were accepted before, and may not be refused now. Each counts in `in_ring_` as if it
    // were there, so that TakeStranded can give its place back.
    for (size_t i = 0; i < count; ++i) {
      share.in_ring_.fetch_add(1, std::memory_order_relaxed);
      Strand(*items[i]);
    }
    return count;
  }
  CountParked(share, static_cast<ptrdiff_t>(count));
  // Pairs with Release: either Release sees the line, or this thread sees that the ring holds too
  // few of the share's items for another Release to come, and refills itself.
  if (share.in_ring_.load(std::memory_order_seq_cst) <= quantum_ / 2) Refill(share);
  return count;
}

void FairQueue::Push(WorkItem& item) {
  WorkItem* one = &item;
  WorkShare* const share = item.share_;
  if (share == nullptr) {
    if (!ring_.TryPush(one)) Strand(item);
    return;
  }
  if (share->parked_.load(std::memory_order_acquire) == 0 && PushDirect(*share, &one, 1) == 1) {
    return;
  }
  Park(*share, &one, 1, /*bounded=*/false);
}

WorkItem* FairQueue::TryTake() {
  if (stranded_.load(std::memory_order_relaxed) > 0) {
    if (WorkItem* item = TakeStranded()) return item;
  }
  WorkItem* item = express_.TryTake();
  if (item == nullptr) item = ring_.TryTake();
  // An item inside a group weighs nothing: the last of the group releases for all.
  if (item == nullptr || item->weight_ == 0) return item;
  // The item keeps its share.
  Release(*item->share_, std::exchange(item->weight_, 0));
  return item;
}

void FairQueue::Synchronize() {
  { MutexLock lock(stranded_mu_); }
  express_.Synchronize();
  ring_.Synchronize();
}

void FairQueue::RefillLine(WorkShare& share) {
  if (share.in_ring_.load(std::memory_order_seq_cst) > 0) {
    // If another thread holds the mutex it refills or pushes; there is no need to wait. The thread
    // that takes the next of the share's items looks again, and the one that takes the last of them
    // waits for the mutex.
    if (!share.mu_.TryLock()) return;
  } else {
    share.mu_.Lock();
  }
  Refill(share);
  share.mu_.Unlock();
}

// Moves the line's first into the ring, up to the quantum.
void FairQueue::Refill(WorkShare& share) {
  const auto line = static_cast<int32_t>(share.line_.size());
  int32_t moved = 0;
  for (int32_t left = 0; left == 0 && moved < line;) {
    const int32_t held = share.in_ring_.load(std::memory_order_relaxed);
    const int32_t wanted = std::min({quantum_ - held, line - moved, kMaxMoved});
    if (wanted <= 0) break;
    WorkItem* items[kMaxMoved];
    (void)share.line_.TakeFirst(items, static_cast<size_t>(wanted));
    int32_t done = PushGroups(share, items, wanted);
    if (done < wanted) {
      // The ring is full of others' items. If it holds none of this share, no later TryTake would
      // refill this line: strand one item, whose taking will.
      if (done == 0 && held == 0) Strand(*items[done++]);
      share.line_.PutBack(items + done, static_cast<size_t>(wanted - done));
    }
    moved += done;
    if (done == wanted) break;
    // Once more if those that were moved are taken already.
    left = share.in_ring_.fetch_sub(wanted - done, std::memory_order_seq_cst) - (wanted - done);
  }
  if (moved == line) share.line_.Trim();
  // Only now, when they are in the ring: a pusher that finds no line goes straight to the ring, and
  // must come behind them.
  if (moved > 0) CountParked(share, -moved);
}

void FairQueue::CountParked(WorkShare& share, ptrdiff_t change) {
  const uint32_t before = share.parked_.load(std::memory_order_relaxed);
  const auto after = static_cast<uint32_t>(before + change);
  if (before == 0) lines_.fetch_add(1, std::memory_order_relaxed);
  if (after == 0) lines_.fetch_sub(1, std::memory_order_relaxed);
  parked_.fetch_add(static_cast<size_t>(change), std::memory_order_seq_cst);
  share.parked_.store(after, std::memory_order_seq_cst);
}

bool FairQueue::Withdraw(WorkItem& item) {
  WorkShare* const share = item.share_;
  if (share == nullptr) return false;
  MutexLock lock(share->mu_);
  if (!share->line_.Remove(item)) return false;
  CountParked(*share, -1);
  return true;
}

// Linked, so that a connection's end needs no memory for thousands of them.
WorkItem* FairQueue::TakeLine(WorkShare& share) {
  MutexLock lock(share.mu_);
  const size_t count = share.line_.size();
  WorkItem* first = nullptr;
  WorkItem** end = &first;
  WorkItem* items[kMaxMoved];
  while (const size_t taken = share.line_.TakeFirst(items, kMaxMoved)) {
    for (size_t i = 0; i < taken; ++i) {
      *end = items[i];
      end = &items[i]->next_;
    }
  }
  share.line_.Trim();
  if (count > 0) CountParked(share, -static_cast<ptrdiff_t>(count));
  return first;
}

void FairQueue::Strand(WorkItem& item) {
  MutexLock lock(stranded_mu_);
  (stranded_first_ == nullptr ? stranded_first_ : stranded_last_->next_) = &item;
  stranded_last_ = &item;
  stranded_.fetch_add(1, std::memory_order_relaxed);
  parked_.fetch_add(1, std::memory_order_seq_cst);
}

WorkItem* FairQueue::TakeStranded() {
  WorkItem* item = nullptr;
  {
    MutexLock lock(stranded_mu_);
    item = stranded_first_;
    if (item == nullptr) return nullptr;
    stranded_first_ = std::exchange(item->next_, nullptr);
    stranded_.fetch_sub(1, std::memory_order_relaxed);
    parked_.fetch_sub(1, std::memory_order_seq_cst);
  }
  if (item->share_ != nullptr) Release(*item->share_, 1);
  return item;
}

}  // namespace weft::internal
