#include "weft/rpc/call/call_pool.h"

#include <algorithm>

#include "absl/base/attributes.h"
#include "absl/base/optimization.h"
#include "weft/core/check.h"

namespace weft {

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
    if (ABSL_PREDICT_FALSE(IsMark(head))) {
      if (ReturnAtMark(head, call)) return;
      head = nullptr;  // most likely; the exchange says so
    }
    call.next_returned_ = head;
  } while (!returned_.compare_exchange_weak(head, &call, std::memory_order_release,
                                            std::memory_order_acquire));
}

// The mark stands where the list begins: none that is returned behind it goes unseen, and others
// pay nothing for it. The thread that replaces the mark rings.
ABSL_ATTRIBUTE_NOINLINE bool CallPool::ReturnAtMark(InboundCall* head, InboundCall& call) {
  if (head == Closed()) {
    delete &call;
    return true;
  }
  // The pool may be gone when the call is back in it.
  const std::shared_ptr<LoopBell> bell = bell_;
  call.next_returned_ = nullptr;
  if (!returned_.compare_exchange_strong(head, &call, std::memory_order_release,
                                         std::memory_order_relaxed)) {
    return false;
  }
  bell->Ring();
  return true;
}

void CallPool::Watch(const std::shared_ptr<LoopBell>& bell) {
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
  if (returned_.load(std::memory_order_relaxed) == none) return;
  CollectList(returned_.exchange(none, std::memory_order_acq_rel));
}

bool CallPool::GiveBack(MonoTime now) {
  if (messages_ != nullptr) messages_->GiveBack(now);
  Collect();
  // The oldest, which lie at the front.
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

}  // namespace weft
