// Work that is run one item at a time, in order, by key: a stage before a pool, without threads of
// its own. Items of different keys run beside each other.
//
//   TrySubmit(key, item) ─► the key's queue ─► carrier, one step of each queue at a time
//        ─► item.Run ─► Done, then or later ─► the queue's next item
//
// An item is over when Done is told, inside its Run or any time after it. The worker that sees an
// item's end goes on with the next of the same queue, kInARow of them; then the queue goes to the
// carrier's end, behind what came meanwhile, so that a key that never rests starves nobody.
//
// A place may be kept for an item that is not complete yet (`ready` false): it holds up its queue
// until SetReady.
//
// Items of one key may come by several ways, each of which takes the place of the one before
// (SerialWay): when one has come by a later way, none is taken by an earlier one any more.
//
// A queue exists while it has items; `limit` bounds those that wait, in all queues together. At the
// limit a share is refused that has its part of them, the limit divided by the shares whose items
// wait; one that has less is taken, until twice the limit waits.
//
// Threads  any, all methods
// Owns     its queues; items stay their embedders'; refers to its carrier. Is kept alive by a
//          queue's step, so whoever owns it may let go in the last item's Run
// Errors   TrySubmit says false when it is full, or the carrier is, or when the item comes too late
// Ends     exactly one of Run and Cancel follows each item that was taken, but for one that is Done
//          before: that one is taken out
#ifndef WEFT_CORE_SERIAL_EXECUTOR_H_
#define WEFT_CORE_SERIAL_EXECUTOR_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/core/work_item.h"
#include "weft/core/work_queue.h"
#include "weft/core/work_share.h"

namespace weft::internal {

// Names a queue: items whose keys are equal run one at a time.
struct SerialKey {
  const void* owner = nullptr;
  const void* kind = nullptr;
  std::string name = {};

  friend bool operator==(const SerialKey&, const SerialKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const SerialKey& key) {
    return H::combine(std::move(h), key.owner, key.kind, key.name);
  }
};

// One of several ways by which items of a key come. Once an item has come by a way of a higher
// rank, none is taken by a lower one.
struct SerialWay {
  uint64_t* highest;  // rank of the ways by which items have come; the executor's to read and write
  uint64_t rank;      // of this one
  bool late = false;  // written by TrySubmit: an item has come by a way of a higher rank
};

// The items of one key. Handed out by TrySubmit; a name for Done and SetReady, no more.
class SerialQueue;

class WEFT_ANY_THREAD SerialExecutor final : public std::enable_shared_from_this<SerialExecutor> {
 public:
  // Items of one queue that are run in a row while others wait for the carrier.
  static constexpr int kInARow = 16;
  // Queues without items that are kept for the next key.
  static constexpr size_t kMaxSpare = 64;

  using Queue = SerialQueue;

  // Lives in a shared_ptr. `carrier` outlives all items.
  SerialExecutor(WorkQueue& carrier, size_t limit);
  ~SerialExecutor();
  SerialExecutor(const SerialExecutor&) = delete;
  SerialExecutor& operator=(const SerialExecutor&) = delete;

  // Puts `item` at the end of its key's queue. `*queue` is written before it can run. `share`: the
  // share of the carrier's queue and of the limit that it counts against, the same for all items of
  // a key; null: none. `way`: null if there is only one.
  bool TrySubmit(SerialKey key, WorkItem& item, Queue** queue, bool ready = true,
                 const std::shared_ptr<WorkShare>& share = nullptr, SerialWay* way = nullptr)
      WEFT_EXCLUDES(mu_);
  // An item whose place was kept is complete.
  void SetReady(Queue& queue, WorkItem& item) WEFT_EXCLUDES(mu_);
  // `item` is over. The item and its queue may be gone when this returns.
  void Done(Queue& queue, WorkItem& item) WEFT_EXCLUDES(mu_);
  // Takes out those items of keys of that owner that wait, are complete, and are asked for. They
  // are not Done.
  std::vector<WorkItem*> TakeOut(const void* owner, absl::FunctionRef<bool(const WorkItem&)> asked)
      WEFT_EXCLUDES(mu_);
  std::vector<WorkItem*> TakeOutAll(const void* owner) WEFT_EXCLUDES(mu_) {
    return TakeOut(owner, [](const WorkItem&) { return true; });
  }

  // Items that wait for those before them, or for the carrier.
  size_t waiting() const WEFT_EXCLUDES(mu_);
  size_t limit() const { return limit_; }
  // Queues that have items.
  size_t queues() const WEFT_EXCLUDES(mu_);

 private:
  friend class SerialQueue;
  enum class AfterItem : uint8_t { kNext, kElsewhere };

  // The item to run now; nullptr: its place is kept, or all were taken out.
  WorkItem* Begin(Queue& queue) WEFT_EXCLUDES(mu_);
  // Called after the item's Run. kElsewhere: another thread goes on with the queue, or it is gone.
  AfterItem End(Queue& queue, bool go_on) WEFT_EXCLUDES(mu_);
  // When its item is over. True: it is to be handed to the carrier.
  bool NextOrRest(Queue& queue) WEFT_REQUIRES(mu_);
  void Free(Queue& queue) WEFT_REQUIRES(mu_);
  bool HasRoom(const WorkShare* share) const WEFT_REQUIRES(mu_);
  // So many more of the queue's items wait.
  void CountWaiting(Queue& queue, ptrdiff_t change) WEFT_REQUIRES(mu_);

  WorkQueue& carrier_;
  const size_t limit_;

  mutable Mutex mu_;
  absl::flat_hash_map<SerialKey, std::unique_ptr<Queue>> queues_ WEFT_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<Queue>> spare_ WEFT_GUARDED_BY(mu_);
  uint64_t last_queue_ WEFT_GUARDED_BY(mu_) = 0;
  size_t waiting_ WEFT_GUARDED_BY(mu_) = 0;
  size_t shares_ WEFT_GUARDED_BY(mu_) = 0;  // those whose items wait
};

}  // namespace weft::internal

#endif  // WEFT_CORE_SERIAL_EXECUTOR_H_
