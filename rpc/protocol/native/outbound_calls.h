// The calls under way that this side has started: their numbers, the calls themselves, and the
// deadlines that the loop does not know of yet.
//
//   Add ──► number ──► Find … ──► Take: whoever takes a call out ends it
//
// Numbers rise in the order in which requests stand in the stream. A deadline of a call that
// another thread has started is noted; the loop puts those into its wheel when it looks, which it
// does in time for the earliest of them.
//
// Threads  any, under the output's mutex; Arm on the loop
// Owns     the numbers; the calls stay their starters'
// Errors   Add says when there is no memory for one more
#ifndef WEFT_RPC_PROTOCOL_NATIVE_OUTBOUND_CALLS_H_
#define WEFT_RPC_PROTOCOL_NATIVE_OUTBOUND_CALLS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "weft/core/check.h"
#include "weft/core/clock.h"
#include "weft/core/deadline_wheel.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/id_table.h"
#include "weft/rpc/call/outbound_call.h"

namespace weft::native {

class OutboundCalls {
 public:
  // The highest bit of a number tells replies from requests where both stand in one table.
  static constexpr uint64_t kMaxId = (uint64_t{1} << 63) - 1;

  // The number that the call has from now on; 0: there is no memory for it.
  uint64_t Add(OutboundCall* call) {
    WEFT_DCHECK(next_id_ <= kMaxId);
    if (!calls_.Insert(next_id_, call)) return 0;
    return next_id_++;
  }
  // Whether the number was ever given to a call.
  bool EverStarted(uint64_t id) const { return id > 0 && id < next_id_; }
  OutboundCall* Find(uint64_t id) const { return calls_.Find(id); }
  // Null: it is not, or no longer, under way.
  OutboundCall* Take(uint64_t id) { return calls_.Take(id); }
  // Those of higher numbers than `last`, as a list by OutboundCall::next.
  OutboundCall* TakeAbove(uint64_t last);
  OutboundCall* TakeAll();
  size_t size() const { return calls_.size(); }
  // Changes with each call that begins.
  uint64_t next_id() const { return next_id_; }
  // Gives back memory where no call is under way.
  void Trim() { calls_.Trim(); }

  // A deadline that the loop does not know of yet, `left` from now. True: the loop is to be asked
  // to look.
  bool NoteDeadline(MonoTime deadline, Nanos left) {
    WEFT_DCHECK(deadline != kNever);
    unarmed_ = true;
    shortest_timeout_ = std::min(shortest_timeout_, left);
    if (deadline >= looked_for_by_) return false;
    looked_for_by_ = deadline;  // asked for: the next one need not ask again
    return true;
  }
  // Puts the noted deadlines into the wheel; says when to look again.
  MonoTime Arm(DeadlineWheel& wheel, DeadlineTarget* target, const Clock& clock) LOOP_ONLY;

 private:
  uint64_t next_id_ = 1;
  IdTable<OutboundCall> calls_;
  // The loop looks for unarmed deadlines by then; a call with an earlier one makes it look at once.
  MonoTime looked_for_by_ = kNever;
  Nanos shortest_timeout_ = Nanos::max();  // of the calls since the last look
  bool unarmed_ = false;
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_OUTBOUND_CALLS_H_
