#include "weft/rpc/call/call_pool.h"

#include <algorithm>

#include "absl/base/attributes.h"
#include "absl/base/optimization.h"
#include "weft/core/check.h"

namespace weft::internal {

CallPool::~CallPool() WEFT_NO_THREAD_ANALYSIS {
  for (InboundCall* call : free_) delete call;
}

inline void CallPool::Keep(InboundCall& call) {
  if (free_.size() < kMaxFree) {
    free_.push_back(&call);
  } else {
    delete &call;
  }
}

InboundCall& CallPool::Take() {
  ++out_;
  if (free_.empty()) return *new InboundCall(*this);
  InboundCall* call = free_.back();
  free_.pop_back();
  unused_ = std::min(unused_, free_.size());
  return *call;
}

void CallPool::PutBack(InboundCall& call) {
  --out_;
  Keep(call);
}

void CallPool::Return(InboundCall& call) {
  InboundCall* head = returned_.load(std::memory_order_acquire);
  do {
    if (ABSL_PREDICT_FALSE(IsMark(head))) return ReturnSlow(call);
    // Pushing only, and taking all at once in Collect, makes the list free of the ABA problem.
    call.next_returned_ = head;
  } while (!returned_.compare_exchange_weak(head, &call, std::memory_order_release,
                                            std::memory_order_acquire));
}

// A mark stands where the list is empty, so only the first call that is returned after a Collect
// meets it, and every later one pays nothing. The thread that replaces the mark rings.
ABSL_ATTRIBUTE_NOINLINE void CallPool::ReturnSlow(InboundCall& call) {
  InboundCall* head = returned_.load(std::memory_order_acquire);
  for (;;) {
    if (head == Closed()) {
      delete &call;
      return;
    }
    // The mark may have gone since the caller saw it: then `head` is an ordinary call, or nothing.
    const bool watched = head == Watched();
    // Take a share of the bell first: the pool may be gone as soon as the call is back in it.
    const std::shared_ptr<LoopBell> bell = watched ? bell_ : nullptr;
    call.next_returned_ = watched ? nullptr : head;
    if (returned_.compare_exchange_weak(head, &call, std::memory_order_release,
                                        std::memory_order_acquire)) {
      if (watched) bell->Ring();
      return;
    }
  }
}

void CallPool::Watch(const std::shared_ptr<LoopBell>& bell) {
  // The bell is written before Collect publishes Watched() with a release exchange, and the thread
  // that sees that mark reads the bell without a lock.
  WEFT_DCHECK(bell_ == nullptr || bell_ == bell);
  if (bell_ == nullptr) bell_ = bell;
  ++watchers_;
  Collect();
}

void CallPool::Unwatch() {
  WEFT_DCHECK(watchers_ > 0);
  --watchers_;
}

void CallPool::Collect() {
  InboundCall* const none = watchers_ > 0 ? Watched() : nullptr;
  // The exchange costs a locked instruction, and Collect is called often: skip it while nothing has
  // come back.
  if (returned_.load(std::memory_order_relaxed) == none) return;
  CollectList(returned_.exchange(none, std::memory_order_acq_rel));
}

bool CallPool::GiveBack(MonoTime now) {
  if (messages_ != nullptr) messages_->GiveBack(now);
  Collect();
  // Take works from the back, so the calls at the front are the ones that nobody needed.
  const auto end = free_.begin() + static_cast<std::ptrdiff_t>(unused_);
  for (auto it = free_.begin(); it != end; ++it) delete *it;
  free_.erase(free_.begin(), end);
  if (free_.empty()) std::vector<InboundCall*>().swap(free_);  // `= {}` keeps the memory
  unused_ = free_.size();
  return !free_.empty();
}

void CallPool::Close() { CollectList(returned_.exchange(Closed(), std::memory_order_acq_rel)); }

void CallPool::CollectList(InboundCall* list) {
  if (list == Closed() || list == Watched()) return;
  while (list != nullptr) {
    InboundCall* call = list;
    list = call->next_returned_;
    --out_;
    call->origin->OnCallReturned(*call);
    call->Reset();
    Keep(*call);
  }
}

}  // namespace weft::internal
