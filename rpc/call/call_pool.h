// A loop's inbound calls, used again and again.
//
// Returned calls wait for the next Collect. A user that must know at once watches the pool: the
// first call that is returned after a Collect rings its bell.
//
// ServerLoop has one for each loop of a server, and InboundService one for a channel. Sessions take
// calls out of it.
//
// Threads  Take, Collect, Watch, Close: the loop. Return: any
// Owns     every call that is not out; a call that is out keeps the pool alive through its origin;
//          `keeper`, which calls refer to
// Ends     after Close a call that comes back is freed by whoever returns it
#ifndef WEFT_RPC_CALL_CALL_POOL_H_
#define WEFT_RPC_CALL_CALL_POOL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "weft/core/idle_trimmer.h"
#include "weft/core/loop_bell.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/caller_slot.h"
#include "weft/rpc/call/inbound_call.h"

namespace weft::internal {

// Keeps messages for the calls of a pool.
class MessageKeeper {
 public:
  // Frees the messages that were not needed for a while. Any thread; the time is any loop's.
  virtual void GiveBack(MonoTime now) = 0;

 protected:
  ~MessageKeeper() = default;
};

class CallPool final : public Trimmable {
 public:
  // Unused calls kept beyond this are freed.
  static constexpr size_t kMaxFree = 1024;

  // `messages`, which lives as long as `keeper`, gives back when this does; may be null.
  // `callers`: see InboundCall::Caller; may be null.
  explicit CallPool(std::shared_ptr<const void> keeper, MessageKeeper* messages = nullptr,
                    CallerMaker callers = nullptr)
      : keeper_(std::move(keeper)), messages_(messages), callers_(std::move(callers)) {}
  ~CallPool();
  CallPool(const CallPool&) = delete;
  CallPool& operator=(const CallPool&) = delete;

  InboundCall& Take() WEFT_LOOP_ONLY;
  // Puts back a call that was taken and not used.
  void PutBack(InboundCall& call) WEFT_LOOP_ONLY;
  // Takes in the returned calls, and tells their origins.
  void Collect() WEFT_LOOP_ONLY;
  // Trimmable: frees the calls that were not needed since the last time.
  bool GiveBack(MonoTime now) WEFT_LOOP_ONLY override;
  // Begins watching, until Unwatch has been called as often. `bell` rings when a call is returned
  // while no other waited, so each returned call is collected by a Collect that follows a ring. A
  // pool has the same bell all its life.
  void Watch(const std::shared_ptr<LoopBell>& bell) WEFT_LOOP_ONLY;
  void Unwatch() WEFT_LOOP_ONLY;
  // Collects for the last time. Calls that come back later are freed by the thread that returns
  // them.
  void Close() WEFT_LOOP_ONLY;

  // Calls taken and not collected yet.
  size_t out() const WEFT_LOOP_ONLY { return out_; }
  // Calls kept for the next ones.
  size_t free() const WEFT_LOOP_ONLY { return free_.size(); }

  WEFT_ANY_THREAD const CallerMaker& callers() const { return callers_; }
  // The pool may be gone when this returns.
  WEFT_ANY_THREAD void Return(InboundCall& call);

 private:
  // Marks at the end of returned_'s list: the pool is closed, or the pool is watched.
  static InboundCall* Closed() { return reinterpret_cast<InboundCall*>(uintptr_t{1}); }
  static InboundCall* Watched() { return reinterpret_cast<InboundCall*>(uintptr_t{2}); }
  // nullptr ends an ordinary list and is no mark: minus one it wraps around.
  static bool IsMark(InboundCall* head) { return reinterpret_cast<uintptr_t>(head) - 1 < 2; }
  // Return where a mark stands, or stood a moment ago.
  void ReturnSlow(InboundCall& call);
  void CollectList(InboundCall* list) WEFT_LOOP_ONLY;
  // Keeps the call for the next Take, unless there are enough.
  void Keep(InboundCall& call) WEFT_LOOP_ONLY;

  const std::shared_ptr<const void> keeper_;
  MessageKeeper* const messages_;
  const CallerMaker callers_;
  std::vector<InboundCall*> free_ WEFT_LOOP_OWNED;
  size_t unused_ WEFT_LOOP_OWNED =
      0;  // the fewest that were free at any time since the last GiveBack
  size_t out_ WEFT_LOOP_OWNED = 0;
  size_t watchers_ WEFT_LOOP_OWNED = 0;
  std::shared_ptr<LoopBell>
      bell_;  // written once, before returned_ is Watched() for the first time
  alignas(64) std::atomic<InboundCall*> returned_{nullptr};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_CALL_POOL_H_
