// Request and reply objects that a worker used before, kept for its next call of the same method.
//
// A cleared protobuf message keeps its memory, so a small call needs no allocation. At most kSlots
// pairs a worker; pairs whose messages were larger than kLargest on the wire are not kept.
//
// Threads  one: the worker's it belongs to
// Owns     the pairs in it
#ifndef WEFT_RPC_CALL_MESSAGE_CACHE_H_
#define WEFT_RPC_CALL_MESSAGE_CACHE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "weft/rpc/base/method.h"

namespace weft {

// A request and its reply, whatever their types.
class MessagePairBase {
 public:
  virtual ~MessagePairBase() = default;
};

template <typename Request, typename Reply>
class MessagePair final : public MessagePairBase {
 public:
  Request request;
  Reply reply;
};

class MessageCache {
 public:
  static constexpr size_t kSlots = 64;
  static constexpr size_t kLargest = 64 << 10;

  // Only of the type that was put in for the same method.
  template <typename Pair>
  std::unique_ptr<Pair> Take(const MethodInfo& method) {
    Slot& slot = SlotOf(method);
    if (slot.method == &method && slot.pair != nullptr) {
      return std::unique_ptr<Pair>(static_cast<Pair*>(slot.pair.release()));
    }
    return std::make_unique<Pair>();
  }
  void Put(const MethodInfo& method, std::unique_ptr<MessagePairBase> pair) {
    Slot& slot = SlotOf(method);
    slot.method = &method;
    slot.pair = std::move(pair);
  }

 private:
  struct Slot {
    const MethodInfo* method = nullptr;
    std::unique_ptr<MessagePairBase> pair;
  };
  Slot& SlotOf(const MethodInfo& method) {
    return slots_[(reinterpret_cast<uintptr_t>(&method) >> 4) % kSlots];
  }
  std::array<Slot, kSlots> slots_;
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_MESSAGE_CACHE_H_
