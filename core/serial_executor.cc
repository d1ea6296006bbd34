#include "weft/core/serial_executor.h"

#include <algorithm>

#include "weft/core/check.h"

namespace weft {

// Under the executor's mutex, but for its steps.
class SerialExecutor::Queue final : public WorkItem {
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

  explicit Queue(SerialExecutor& of) : executor(of) {}
  void Run(int worker) override;
  void Cancel() override;

  std::deque<Waiting>::iterator Find(const WorkItem& item) {
    return std::find_if(waiting.begin(), waiting.end(),
                        [&item](const Waiting& each) { return each.item == &item; });
  }

  SerialExecutor& executor;
  SerialKey key;
  std::deque<Waiting> waiting;
  State state = State::kHeld;
  bool over = false;  // its running item has been told as done
};

SerialExecutor::SerialExecutor(WorkCarrier& carrier, size_t limit)
    : carrier_(carrier), limit_(limit) {}
SerialExecutor::~SerialExecutor() { WEFT_DCHECK(queues() == 0); }

bool SerialExecutor::TrySubmit(SerialKey key, WorkItem& item, Queue** queue, bool ready) {
  Queue* first = nullptr;
  {
    MutexLock lock(mu_);
    if (waiting_ >= limit_) return false;
    std::unique_ptr<Queue>& place = queues_[key];
    const bool fresh = place == nullptr;
    if (fresh) {
      if (spare_.empty()) {
        place = std::make_unique<Queue>(*this);
      } else {
        place = std::move(spare_.back());
        spare_.pop_back();
      }
      place->key = std::move(key);
      place->state = Queue::State::kHeld;
    }
    *queue = place.get();
    place->waiting.push_back({&item, ready});
    ++waiting_;
    if (fresh && ready) {
      first = place.get();
      first->state = Queue::State::kWithCarrier;
    }
  }
  if (first == nullptr || carrier_.TrySubmit(*first)) return true;
  MutexLock lock(mu_);
  first->waiting.erase(first->Find(item));
  --waiting_;
  if (!NextOrRest(*first)) return false;
  // Another thread's item came behind this one: that one was taken, so it is not refused any more.
  lock.Unlock();
  carrier_.Resume(*first);
  return false;
}

void SerialExecutor::SetReady(Queue& queue, WorkItem& item) {
  {
    MutexLock lock(mu_);
    const auto place = queue.Find(item);
    if (place == queue.waiting.end()) return;
    place->ready = true;
    if (queue.state != Queue::State::kHeld || place != queue.waiting.begin()) return;
    queue.state = Queue::State::kWithCarrier;
  }
  carrier_.Resume(queue);
}

void SerialExecutor::Done(Queue& queue, WorkItem& item) {
  {
    MutexLock lock(mu_);
    if (const auto place = queue.Find(item); place != queue.waiting.end()) {
      // Before its turn.
      queue.waiting.erase(place);
      --waiting_;
      if (queue.state != Queue::State::kHeld || !NextOrRest(queue)) return;
    } else if (queue.state == Queue::State::kRunning) {
      queue.over = true;
      return;
    } else {
      WEFT_DCHECK(queue.state == Queue::State::kAway);
      if (!NextOrRest(queue)) return;
    }
  }
  carrier_.Resume(queue);
}

bool SerialExecutor::NextOrRest(Queue& queue) {
  if (queue.waiting.empty()) {
    Free(queue);
    return false;
  }
  const bool ready = queue.waiting.front().ready;
  queue.state = ready ? Queue::State::kWithCarrier : Queue::State::kHeld;
  return ready;
}

void SerialExecutor::Free(Queue& queue) {
  const auto place = queues_.find(queue.key);
  WEFT_DCHECK(place != queues_.end() && place->second.get() == &queue);
  std::unique_ptr<Queue> idle = std::move(place->second);
  queues_.erase(place);
  if (spare_.size() < kMostSpare) spare_.push_back(std::move(idle));
}

WorkItem* SerialExecutor::Begin(Queue& queue) {
  MutexLock lock(mu_);
  WEFT_DCHECK(queue.state == Queue::State::kWithCarrier);
  if (!queue.waiting.empty() && queue.waiting.front().ready) {
    WorkItem* const item = queue.waiting.front().item;
    queue.waiting.pop_front();
    --waiting_;
    queue.state = Queue::State::kRunning;
    queue.over = false;
    return item;
  }
  NextOrRest(queue);  // its first item was taken out while it stood with the carrier
  return nullptr;
}

SerialExecutor::AfterItem SerialExecutor::End(Queue& queue, bool go_on) {
  {
    MutexLock lock(mu_);
    if (!queue.over) {
      queue.state = Queue::State::kAway;
      return AfterItem::kElsewhere;
    }
    if (!NextOrRest(queue)) return AfterItem::kElsewhere;
    if (go_on) return AfterItem::kNext;
  }
  if (!carrier_.TrySubmit(queue)) carrier_.Resume(queue);
  return AfterItem::kElsewhere;
}

// Whatever holds this executor may go with the last item.
void SerialExecutor::Queue::Run(int worker) {
  const std::shared_ptr<SerialExecutor> keep = executor.shared_from_this();
  for (int i = 1;; ++i) {
    WorkItem* const item = keep->Begin(*this);
    if (item == nullptr) return;
    item->Run(worker);
    if (keep->End(*this, i < kInARow) == AfterItem::kElsewhere) return;
  }
}

void SerialExecutor::Queue::Cancel() {
  const std::shared_ptr<SerialExecutor> keep = executor.shared_from_this();
  while (WorkItem* const item = keep->Begin(*this)) {
    item->Cancel();
    if (keep->End(*this, /*go_on=*/true) == AfterItem::kElsewhere) return;
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

}  // namespace weft
