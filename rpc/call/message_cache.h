// Request and reply objects that a worker used before, kept for its next call of the same method.
//
// A cleared protobuf message keeps its memory, so a small call needs no allocation, and the string
// of a large one no new pages. A pair comes back at once (Put), or, where its reply is sent by
// reference, when the reply has left (Share), from whichever thread sent it.
//
// Each worker of a handler pool has one, and each loop for its inline methods.
//
// Threads  one: the worker's it belongs to; what Share returned may end on any
// Owns     the pairs in it, at most kMaxPerMethod of a method and kMaxBytes of messages, counted as
//          they were on the wire. Not kept is a pair with more than kLargest bytes, unless most of
//          them are strings that were sent by reference
#ifndef WEFT_RPC_CALL_MESSAGE_CACHE_H_
#define WEFT_RPC_CALL_MESSAGE_CACHE_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "weft/rpc/base/method.h"

namespace weft::internal {

// A request and its reply, whatever their types.
class MessagePairBase {
 public:
  virtual ~MessagePairBase() = default;

 private:
  friend class MessageCache;
  const MethodInfo* method_ = nullptr;
  size_t bytes_ = 0;  // the most that its messages had on the wire
  MessagePairBase* next_ = nullptr;
};

template <typename Request, typename Reply>
class MessagePair final : public MessagePairBase {
 public:
  Request request;
  Reply reply;
};

class MessageCache {
 public:
  // A list of pairs, which go with it.
  class Pairs {
   public:
    Pairs() = default;
    Pairs(Pairs&& o) noexcept : first_(std::exchange(o.first_, nullptr)) {}
    ~Pairs() {
      while (first_ != nullptr) delete std::exchange(first_, first_->next_);
    }
    void Add(MessagePairBase* pair) {
      pair->next_ = first_;
      first_ = pair;
    }

   private:
    MessagePairBase* first_ = nullptr;
  };

  static constexpr size_t kSlots = 64;
  static constexpr size_t kLargest = 64 << 10;
  static constexpr size_t kMaxBytes = 32 << 20;
  static constexpr int kMaxPerMethod = 8;
  // A large pair goes when it has served a message that is this many times smaller.
  static constexpr size_t kShrinks = 8;

  MessageCache() = default;
  ~MessageCache();
  MessageCache(const MessageCache&) = delete;
  MessageCache& operator=(const MessageCache&) = delete;

  // Takes a pair, or makes one. `Pair`: the type that was put in for the same method.
  template <typename Pair>
  std::unique_ptr<Pair> Take(const MethodInfo& method) {
    Slot& slot = SlotOf(method);
    if (slot.first == nullptr || slot.method != &method) {
      if (returns_ == nullptr || returns_->Empty()) return std::make_unique<Pair>();
      Collect();
      if (slot.first == nullptr || slot.method != &method) return std::make_unique<Pair>();
    }
    return std::unique_ptr<Pair>(static_cast<Pair*>(Pop(slot)));
  }
  // `bytes`: of request and reply.
  void Put(const MethodInfo& method, std::unique_ptr<MessagePairBase> pair, size_t bytes) {
    if (bytes > kLargest) return;
    // The usual case, inlined: a small pair of the method that has the slot already.
    Slot& slot = SlotOf(method);
    const size_t counted = std::max(pair->bytes_, bytes);
    if (slot.method == &method && slot.count < kMaxPerMethod && counted <= kLargest &&
        bytes_ + counted <= kMaxBytes) {
      pair->bytes_ = counted;
      Push(slot, pair.release());
      return;
    }
    Keep(method, std::move(pair), bytes);
  }
  // Puts the pair when the returned object ends. `shared`: the bytes of the reply that are
  // referenced.
  std::shared_ptr<const void> Share(const MethodInfo& method, std::unique_ptr<MessagePairBase> pair,
                                    size_t bytes, size_t shared);

  // Takes all pairs out, for the caller to free.
  Pairs TakeAll();
  // Bytes of the messages that are kept.
  size_t bytes() const { return bytes_; }

 private:
  struct Slot {
    const MethodInfo* method = nullptr;
    MessagePairBase* first = nullptr;
    int count = 0;
  };
  // The list by which pairs come back from other threads. It outlives the cache until the last pair
  // is back.
  class Returns {
   public:
    ~Returns();
    bool Empty() const { return head_.load(std::memory_order_relaxed) == nullptr; }
    void Give(std::unique_ptr<MessagePairBase> pair);
    MessagePairBase* TakeAll();
    // Closes the list: pairs that come back from now on are freed at once.
    void Close();

   private:
    std::atomic<MessagePairBase*> head_{nullptr};
    // Of the pairs in the list.
    std::atomic<size_t> bytes_{0};
    std::atomic<bool> closed_{false};
  };

  Slot& SlotOf(const MethodInfo& method) {
    // The lowest bits of an address say nothing: a method's constant is aligned.
    return slots_[(reinterpret_cast<uintptr_t>(&method) >> 4) % kSlots];
  }
  void Push(Slot& slot, MessagePairBase* pair) {
    bytes_ += pair->bytes_;
    ++slot.count;
    pair->next_ = slot.first;
    slot.first = pair;
  }
  MessagePairBase* Pop(Slot& slot) {
    MessagePairBase* const pair = slot.first;
    slot.first = pair->next_;
    --slot.count;
    bytes_ -= pair->bytes_;
    return pair;
  }
  void Keep(const MethodInfo& method, std::unique_ptr<MessagePairBase> pair, size_t bytes);
  void Collect();

  std::array<Slot, kSlots> slots_;
  size_t bytes_ = 0;
  std::shared_ptr<Returns> returns_;  // with the first pair that is shared
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_MESSAGE_CACHE_H_
