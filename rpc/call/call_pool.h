// A loop's inbound calls, used again and again.
//
// Threads  Take, Collect, Close: the loop. Return: any
// Owns     every call that is not out; a call that is out keeps the pool alive through its origin;
// `keeper`, which
//          calls refer to
// Ends     after Close a call that comes back is freed by whoever returns it
#ifndef WEFT_RPC_CALL_CALL_POOL_H_
#define WEFT_RPC_CALL_CALL_POOL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "weft/core/thread_contract.h"
#include "weft/rpc/call/inbound_call.h"

namespace weft {

class CallPool {
 public:
  // Unused calls kept beyond this are freed.
  static constexpr size_t kMostFree = 1024;

  explicit CallPool(std::shared_ptr<const void> keeper) : keeper_(std::move(keeper)) {}
  ~CallPool();
  CallPool(const CallPool&) = delete;
  CallPool& operator=(const CallPool&) = delete;

  InboundCall& Take() LOOP_ONLY;
  // Takes in what was returned; tells the origins.
  void Collect() LOOP_ONLY;
  // The last Collect.
  void Close() LOOP_ONLY;

  // Calls taken and not collected yet.
  size_t out() const LOOP_ONLY { return out_; }

  // The pool may be gone when this returns.
  ANY_THREAD void Return(InboundCall& call);

 private:
  static InboundCall* Closed() { return reinterpret_cast<InboundCall*>(uintptr_t{1}); }
  void CollectList(InboundCall* list) LOOP_ONLY;

  const std::shared_ptr<const void> keeper_;
  std::vector<InboundCall*> free_ LOOP_OWNED;
  size_t out_ LOOP_OWNED = 0;
  alignas(64) std::atomic<InboundCall*> returned_{nullptr};
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_CALL_POOL_H_
