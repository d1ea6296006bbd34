#include "weft/core/serial_executor.h"

#include <algorithm>

#include "weft/core/check.h"

namespace weft::internal {

// The items of one key, in their order. It is itself the item that stands with the carrier, so at
// most one of its items runs at a time. Made with the first item of its key, freed with the last
// one and kept as a spare. Its fields are guarded by the executor's mutex; Run and Cancel are
// called without it.
class SerialQueue final : public WorkItem {
 public:
  enum class State : uint8_t {
    kHeld,  // its first item is not complete
    kWithCarrier,
    kRunning,  // inside its item's Run
    kAway,     // its item's Run has returned, and the item is not over
  };
  struct Waiting {
    WorkItem* item;
    bool ready;
  };

  explicit SerialQueue(SerialExecutor& of) : executor(of) {}
  void Run(int worker) override;
  void Cancel() override;

  std::deque<Waiting>::iterator Find(const WorkItem& item) {
    return std::find_if(waiting.begin(), waiting.end(),
                        [&item](const Waiting& each) { return each.item == &item; });
  }

  SerialExecutor& executor;
  SerialKey key;
  // From its first item until it is freed: a queue whose items were all taken out may still stand
  // with the carrier when everybody else has let go of the executor.
  std::shared_ptr<SerialExecutor> keep;
  std::shared_ptr<WorkShare> share;
  std::deque<Waiting> waiting;
  uint64_t number = 0;  // of the queues that there were, by age
  State state = State::kHeld;
  bool over = false;  // its running item has been told as done
};

SerialExecutor::SerialExecutor(WorkQueue& carrier, size_t limit)
    : carrier_(carrier), limit_(limit) {}
SerialExecutor::~SerialExecutor() { WEFT_DCHECK(queues() == 0); }

bool SerialExecutor::TrySubmit(SerialKey key, WorkItem& item, Queue** queue, bool ready,
                               const std::shared_ptr<WorkShare>& share, SerialWay* way) {
  Queue* first = nullptr;
  {
    MutexLock lock(mu_);
    // Before anything is counted or made: a late item leaves no trace.
    if (way != nullptr && way->rank < *way->highest) {
      way->late = true;
      return false;
    }
    if (!HasRoom(share.get())) return false;
    std::unique_ptr<Queue>& place = queues_[key];
    const bool fresh = place == nullptr;
    if (fresh) {
      // A key comes and goes with each call that is alone, so its queue is used again.
      if (spare_.empty()) {
        place = std::make_unique<Queue>(*this);
      } else {
        place = std::move(spare_.back());
        spare_.pop_back();
      }
      place->keep = shared_from_this();
      place->key = std::move(key);
      place->number = ++last_queue_;
      place->share = share;
      place->SetShare(share.get());
      place->state = Queue::State::kHeld;
    }
    // Noted with the item, under one mutex: a submitter of a lower rank that comes later is
    // refused, so items never go back to a way that others have left.
    if (way != nullptr) *way->highest = way->rank;
    *queue = place.get();
    place->waiting.push_back({&item, ready});
    CountWaiting(*place, 1);
    if (fresh && ready) {
      first = place.get();
      first->state = Queue::State::kWithCarrier;
    }
  }
  // Outside the mutex: a pool that has stopped cancels the queue inside, which comes back to Begin.
  if (first == nullptr || carrier_.TrySubmit(*first)) return true;
  MutexLock lock(mu_);
  // The carrier was full. Meanwhile other threads may have put their items behind this one.
  first->waiting.erase(first->Find(item));
  CountWaiting(*first, -1);
  if (!NextOrRest(*first)) return false;
  // Another thread's item came behind this one: that one was taken, so it is not refused any more.
  lock.Unlock();
  carrier_.Requeue(*first);
  return false;
}

void SerialExecutor::SetReady(Queue& queue, WorkItem& item) {
  {
    MutexLock lock(mu_);
    const auto place = queue.Find(item);
    // TakeOut has taken the item, or it is over.
    if (place == queue.waiting.end()) return;
    place->ready = true;
    if (queue.state != Queue::State::kHeld || place != queue.waiting.begin()) return;
    queue.state = Queue::State::kWithCarrier;
  }
  carrier_.Requeue(queue);
}

void SerialExecutor::Done(Queue& queue, WorkItem& item) {
  {
    MutexLock lock(mu_);
    if (const auto place = queue.Find(item); place != queue.waiting.end()) {
      // Before its turn.
      queue.waiting.erase(place);
      CountWaiting(queue, -1);
      // Not held: the carrier or a worker has the queue, and finds the next item itself.
      if (queue.state != Queue::State::kHeld || !NextOrRest(queue)) return;
    } else if (queue.state == Queue::State::kRunning) {
      // Inside Run, on its own stack: End goes on with the queue when Run has returned, so that two
      // items of a key never overlap.
      queue.over = true;
      return;
    } else {
      WEFT_DCHECK(queue.state == Queue::State::kAway);
      if (!NextOrRest(queue)) return;
    }
  }
  carrier_.Requeue(queue);
}

bool SerialExecutor::HasRoom(const WorkShare* share) const {
  if (waiting_ < limit_) return true;
  // Past the limit, up to twice of it, only those have room who use less than their part: one busy
  // connection must not shut out the others.
  if (share == nullptr || waiting_ >= 2 * limit_) return false;
  const size_t shares = shares_ + (share->ordered_waiting == 0 ? 1 : 0);
  return share->ordered_waiting < limit_ / shares;
}

void SerialExecutor::CountWaiting(Queue& queue, ptrdiff_t change) {
  waiting_ += static_cast<size_t>(change);
  if (queue.share == nullptr) return;
  size_t& own = queue.share->ordered_waiting;
  if (own == 0) ++shares_;
  own += static_cast<size_t>(change);
  if (own == 0) --shares_;
}

std::vector<WorkItem*> SerialExecutor::TakeOut(const void* owner,
                                               absl::FunctionRef<bool(const WorkItem&)> asked) {
  std::vector<WorkItem*> out;
  MutexLock lock(mu_);
  std::vector<std::pair<uint64_t, Queue*>> theirs;
  for (const auto& [key, queue] : queues_) {
    if (key.owner == owner) theirs.emplace_back(queue->number, queue.get());
  }
  // In the order in which the queues were made: the map's own order depends on addresses, and a
  // simulation has to come out the same each time.
  std::sort(theirs.begin(), theirs.end());
  for (const auto& [number, queue] : theirs) {
    const size_t before = out.size();
    std::erase_if(queue->waiting, [&](const Queue::Waiting& each) {
      // An item that is not complete has an owner that still fills it in.
      const bool goes = each.ready && asked(*each.item);
      if (goes) out.push_back(each.item);
      return goes;
    });
    // The next thread that goes on with the queue finds it empty.
    if (out.size() > before) CountWaiting(*queue, -static_cast<ptrdiff_t>(out.size() - before));
  }
  return out;
}

bool SerialExecutor::NextOrRest(Queue& queue) {
  if (queue.waiting.empty()) {
    Free(queue);
    return false;
  }
  // An incomplete first item holds up those behind it: its place is its place in the order.
  const bool ready = queue.waiting.front().ready;
  queue.state = ready ? Queue::State::kWithCarrier : Queue::State::kHeld;
  return ready;
}

void SerialExecutor::Free(Queue& queue) {
  const auto place = queues_.find(queue.key);
  WEFT_DCHECK(place != queues_.end() && place->second.get() == &queue);
  std::unique_ptr<Queue> idle = std::move(place->second);
  queues_.erase(place);
  idle->SetShare(nullptr);
  idle->share.reset();
  idle->keep.reset();  // never the last reference: whoever calls has one
  if (spare_.size() < kMaxSpare) spare_.push_back(std::move(idle));
}

WorkItem* SerialExecutor::Begin(Queue& queue) {
  MutexLock lock(mu_);
  WEFT_DCHECK(queue.state == Queue::State::kWithCarrier);
  if (!queue.waiting.empty() && queue.waiting.front().ready) {
    WorkItem* const item = queue.waiting.front().item;
    queue.waiting.pop_front();
    CountWaiting(queue, -1);
    queue.state = Queue::State::kRunning;
    queue.over = false;
    return item;
  }
  NextOrRest(queue);  // its first item was taken out while it stood with the carrier
  return nullptr;
}

SerialExecutor::AfterItem SerialExecutor::End(Queue& queue, bool go_on) {
  std::shared_ptr<WorkShare> share;  // its queue may be gone before the carrier is done with it
  {
    MutexLock lock(mu_);
    // Done comes later, on any thread, and goes on with the queue from there.
    if (!queue.over) {
      queue.state = Queue::State::kAway;
      return AfterItem::kElsewhere;
    }
    if (!NextOrRest(queue)) return AfterItem::kElsewhere;
    if (go_on) return AfterItem::kNext;
    share = queue.share;
  }
  carrier_.Requeue(queue);
  return AfterItem::kElsewhere;
}

// Holds a reference of its own: the last item may own the last other one.
void SerialQueue::Run(int worker) {
  const std::shared_ptr<SerialExecutor> held = executor.shared_from_this();
  for (int i = 1;; ++i) {
    WorkItem* const item = held->Begin(*this);
    if (item == nullptr) return;
    item->Run(worker);
    // After kInARow items the queue goes behind all others of the carrier, so that one key does not
    // keep a worker for itself.
    if (held->End(*this, i < SerialExecutor::kInARow) == SerialExecutor::AfterItem::kElsewhere)
      return;
  }
}

void SerialQueue::Cancel() {
  const std::shared_ptr<SerialExecutor> held = executor.shared_from_this();
  while (WorkItem* const item = held->Begin(*this)) {
    item->Cancel();
    if (held->End(*this, /*go_on=*/true) == SerialExecutor::AfterItem::kElsewhere) return;
  }
}

size_t SerialExecutor::waiting() const {
  MutexLock lock(mu_);
  return waiting_;
}

size_t SerialExecutor::queues() const {
  MutexLock lock(mu_);
  return queues_.size();
}

}  // namespace weft::internal
