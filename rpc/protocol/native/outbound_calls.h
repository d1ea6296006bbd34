// This side's calls under way: their numbers, the calls, and the deadlines that the loop does not
// know of yet. A part of NativeLink.
//
//   Add ──► number ──► Find … ──► Take: whoever takes a call out ends it
//
// Numbers rise in the order of the requests in the stream. A deadline of a call started by another
// thread is only noted; the loop puts noted deadlines into its wheel when it looks, in time for the
// earliest.
//
// Threads  any, under the output's mutex; Arm on the loop
// Owns     the numbers; the calls belong to their starters
// Errors   Add: 0 without memory for one more
#ifndef WEFT_RPC_PROTOCOL_NATIVE_OUTBOUND_CALLS_H_
#define WEFT_RPC_PROTOCOL_NATIVE_OUTBOUND_CALLS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "weft/core/check.h"
#include "weft/core/clock.h"
#include "weft/core/deadline_wheel.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/id_table.h"
#include "weft/rpc/call/outbound_call.h"

namespace weft::internal::native {

class OutboundCalls {
 public:
  // The highest bit tells replies from requests in tables with both.
  static constexpr uint64_t kMaxId = (uint64_t{1} << 63) - 1;

  // Adds the call and returns its number; 0: no memory.
  uint64_t Add(OutboundCall* call) {
    WEFT_DCHECK(next_id_ <= kMaxId);
    if (!calls_.Insert(next_id_, call)) return 0;
    return next_id_++;
  }
  // True if a call ever had this number.
  bool EverStarted(uint64_t id) const { return id > 0 && id < next_id_; }
  OutboundCall* Find(uint64_t id) const { return calls_.Find(id); }
  // True if a call of this method is under way. Searches all calls.
  bool Has(std::string_view method) const {
    bool has = false;
    calls_.ForEach(
        [&](uint64_t, const OutboundCall* call) { has = has || call->method.full_name == method; });
    return has;
  }
  // Null: not, or no longer, under way.
  OutboundCall* Take(uint64_t id) { return calls_.Take(id); }
  // Takes out calls with numbers above `last`, as a list by OutboundCall::next, ordered by number:
  // calls sent again keep their order.
  OutboundCall* TakeAbove(uint64_t last);
  OutboundCall* TakeAll();
  size_t size() const { return calls_.size(); }
  // Changes with each call that begins.
  uint64_t next_id() const { return next_id_; }
  // Gives memory back if no call is under way.
  void Trim() { calls_.Trim(); }

  // Notes a deadline for the loop, `left` from now. True: ask the loop to look.
  bool NoteDeadline(MonoTime deadline, Nanos left) {
    WEFT_DCHECK(deadline != kNever);
    unarmed_ = true;
    shortest_timeout_ = std::min(shortest_timeout_, left);
    if (deadline >= looked_for_by_) return false;
    looked_for_by_ = deadline;  // one look is asked for: later deadlines need no other
    return true;
  }
  // Puts the noted deadlines into the wheel; returns when to look again.
  MonoTime Arm(DeadlineWheel& wheel, DeadlineTarget* target, const Clock& clock) WEFT_LOOP_ONLY;

 private:
  uint64_t next_id_ = 1;
  IdTable<OutboundCall> calls_;
  // The loop looks for noted deadlines by this time. A call with an earlier deadline makes it look
  // at once.
  MonoTime looked_for_by_ = kNever;
  Nanos shortest_timeout_ = Nanos::max();  // shortest among calls since the last look
  bool unarmed_ = false;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_OUTBOUND_CALLS_H_
