#include "weft/rpc/call/message_cache.h"

#include <algorithm>

namespace weft::internal {

MessageCache::~MessageCache() {
  if (returns_ != nullptr) returns_->Close();
  TakeAll();
}

void MessageCache::Keep(const MethodInfo& method, std::unique_ptr<MessagePairBase> pair,
                        size_t bytes) {
  // A pair keeps the memory of its largest message: do not let small messages sit in it for ever.
  if (pair->bytes_ > kLargest && bytes < pair->bytes_ / kShrinks) return;
  pair->bytes_ = std::max(pair->bytes_, bytes);
  Slot& slot = SlotOf(method);
  if (slot.method != &method) {
    // Two methods with one slot take turns: the later one throws out the other's pairs.
    while (slot.first != nullptr) delete Pop(slot);
    slot.method = &method;
  }
  if (slot.count >= kMaxPerMethod || bytes_ + pair->bytes_ > kMaxBytes) return;
  Push(slot, pair.release());
}

std::shared_ptr<const void> MessageCache::Share(const MethodInfo& method,
                                                std::unique_ptr<MessagePairBase> pair, size_t bytes,
                                                size_t shared) {
  // Without large shared strings this is a message of many small parts, which hold in memory many
  // times their size on the wire.
  if (bytes > kLargest && shared < bytes / 2 - bytes / 16) {
    return std::shared_ptr<const void>(std::move(pair));
  }
  // As in Keep.
  if (pair->bytes_ > kLargest && bytes < pair->bytes_ / kShrinks) {
    return std::shared_ptr<const void>(std::move(pair));
  }
  if (returns_ == nullptr) returns_ = std::make_shared<Returns>();
  pair->method_ = &method;
  pair->bytes_ = std::max(pair->bytes_, bytes);
  return std::shared_ptr<const void>(pair.release(), [returns = returns_](const void* back) {
    returns->Give(
        std::unique_ptr<MessagePairBase>(static_cast<MessagePairBase*>(const_cast<void*>(back))));
  });
}

void MessageCache::Collect() {
  for (MessagePairBase* next = returns_->TakeAll(); next != nullptr;) {
    std::unique_ptr<MessagePairBase> pair(std::exchange(next, next->next_));
    const MethodInfo& method = *pair->method_;
    const size_t bytes = pair->bytes_;
    Keep(method, std::move(pair), bytes);
  }
}

MessageCache::Pairs MessageCache::TakeAll() {
  Pairs pairs;
  if (returns_ != nullptr) Collect();
  for (Slot& slot : slots_) {
    while (slot.first != nullptr) pairs.Add(Pop(slot));
  }
  return pairs;
}

MessageCache::Returns::~Returns() { Close(); }

void MessageCache::Returns::Give(std::unique_ptr<MessagePairBase> pair) {
  if (closed_.load(std::memory_order_acquire)) return;
  const size_t bytes = pair->bytes_;
  // Bounded by itself: the worker collects only when it next takes a pair, which may be much later.
  if (bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes > kMaxBytes) {
    bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    return;
  }
  // A pair that comes in after Close's TakeAll stays in the list: the destructor frees it, when the
  // last share is gone.
  pair->next_ = head_.load(std::memory_order_relaxed);
  while (!head_.compare_exchange_weak(pair->next_, pair.get(), std::memory_order_release,
                                      std::memory_order_relaxed)) {
  }
  pair.release();
}

MessagePairBase* MessageCache::Returns::TakeAll() {
  MessagePairBase* const all = head_.exchange(nullptr, std::memory_order_acquire);
  size_t bytes = 0;
  for (const MessagePairBase* pair = all; pair != nullptr; pair = pair->next_) {
    bytes += pair->bytes_;
  }
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  return all;
}

void MessageCache::Returns::Close() {
  closed_.store(true, std::memory_order_release);
  for (MessagePairBase* next = TakeAll(); next != nullptr;) delete std::exchange(next, next->next_);
}

}  // namespace weft::internal
