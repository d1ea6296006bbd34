#include "weft/rpc/call/call_pool.h"

#include <algorithm>

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
  InboundCall* head = returned_.load(std::memory_order_relaxed);
  do {
    if (head == Closed()) {
      delete &call;
      return;
    }
    call.next_returned_ = head;
  } while (!returned_.compare_exchange_weak(head, &call, std::memory_order_release,
                                            std::memory_order_relaxed));
}

void CallPool::Collect() {
  if (returned_.load(std::memory_order_relaxed) == nullptr) return;
  CollectList(returned_.exchange(nullptr, std::memory_order_acquire));
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
  if (list == Closed()) return;
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
