// A loop's inbound calls, used again and again.
//
// Returned calls wait for the next Collect. Who has to know of them at once watches: the first that
// is returned after a Collect rings his bell.
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

namespace weft {

// Keeps messages for the calls of a pool.
class MessageKeeper {
 public:
  // Frees those that were not needed for a while. Any thread; the time is any loop's.
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

  InboundCall& Take() LOOP_ONLY;
  // One that was taken and to which nothing was done.
  void PutBack(InboundCall& call) LOOP_ONLY;
  // Takes in what was returned; tells the origins.
  void Collect() LOOP_ONLY;
  // Trimmable: frees the calls that were not needed since the last time.
  bool GiveBack(MonoTime now) LOOP_ONLY override;
  // From now on, until it was unwatched as often, `bell` is rung when a call is returned and none
  // waited: each one is collected by a Collect that follows a ring. A pool has one bell for all
  // times.
  void Watch(const std::shared_ptr<LoopBell>& bell) LOOP_ONLY;
  void Unwatch() LOOP_ONLY;
  // The last Collect.
  void Close() LOOP_ONLY;

  // Calls taken and not collected yet.
  size_t out() const LOOP_ONLY { return out_; }
  // Calls kept for the next ones.
  size_t free() const LOOP_ONLY { return free_.size(); }

  ANY_THREAD const CallerMaker& callers() const { return callers_; }
  // The pool may be gone when this returns.
  ANY_THREAD void Return(InboundCall& call);

 private:
  // Ends of returned_'s list: in a pool that is closed, and in one that is watched.
  static InboundCall* Closed() { return reinterpret_cast<InboundCall*>(uintptr_t{1}); }
  static InboundCall* Watched() { return reinterpret_cast<InboundCall*>(uintptr_t{2}); }
  // nullptr, which ends an ordinary list, is none.
  static bool IsMark(InboundCall* head) { return reinterpret_cast<uintptr_t>(head) - 1 < 2; }
  // False: `head`, which is a mark, stands there no more.
  bool ReturnAtMark(InboundCall* head, InboundCall& call);
  void CollectList(InboundCall* list) LOOP_ONLY;
  // For the next call, unless there are enough.
  void Keep(InboundCall& call) LOOP_ONLY;

  const std::shared_ptr<const void> keeper_;
  MessageKeeper* const messages_;
  const CallerMaker callers_;
  std::vector<InboundCall*> free_ LOOP_OWNED;
  size_t unused_ LOOP_OWNED = 0;  // the fewest that were free at any time since the last GiveBack
  size_t out_ LOOP_OWNED = 0;
  size_t watchers_ LOOP_OWNED = 0;
  std::shared_ptr<LoopBell>
      bell_;  // written once, before returned_ is Watched() for the first time
  alignas(64) std::atomic<InboundCall*> returned_{nullptr};
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_CALL_POOL_H_
