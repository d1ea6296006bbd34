// Ends     this side's calls without a reply: cancelled, out of time, given up, refused by a peer
//          that goes away, or with the connection.
//
// Each call leaves the link's table before it ends, so code called by its end finds it gone.
//
// Threads  the session's loop
// Owns     the timer for deadlines that the loop does not know of yet
// Errors   the text of a call's end names the call, its peer and the time it took
// Ends     EndAll: every call has been completed
#ifndef WEFT_RPC_PROTOCOL_NATIVE_CALL_ENDER_H_
#define WEFT_RPC_PROTOCOL_NATIVE_CALL_ENDER_H_

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/thread_contract.h"
#include "weft/core/timer.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/protocol/native/session_shared.h"

namespace weft::internal::native {

class Leaving;
class UnfinishedMessages;

class CallEnder final : public DeadlineTarget {
 public:
  explicit CallEnder(SessionShared& shared) : shared_(shared) {}

  // ---- from the link, on the loop. The session may be over when they return.
  void Cancel(uint64_t id) WEFT_LOOP_ONLY;
  void OnCallDeadline(OutboundCall& call) override;
  // Puts deadlines noted by other threads into the wheel.
  void LookForDeadlines() WEFT_LOOP_ONLY;

  // ---- by the session's parts
  // Ends a call whose server sent something unacceptable, and cancels it at the server.
  void GiveUp(uint64_t id, const absl::Status& why) WEFT_LOOP_ONLY;
  // Ends calls with numbers above `last`, which the peer has refused.
  void EndAbove(uint64_t last, const absl::Status& why) WEFT_LOOP_ONLY;
  // Ends all calls when the connection is over; deadlines are no longer watched.
  void EndAll(const absl::Status& reason) WEFT_LOOP_ONLY;
  // Ends a call that was taken out of the table, with an error made by this side.
  void End(OutboundCall& call, absl::StatusCode code, std::string_view why,
           bool may_have_been_executed) WEFT_LOOP_ONLY;
  // The same for a call whose deadline has come.
  void EndExpired(OutboundCall& call) WEFT_LOOP_ONLY;

 private:
  SessionShared& shared_;
  // Looks for deadlines noted by other threads; made for the first one.
  std::unique_ptr<Timer> look_timer_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_CALL_ENDER_H_
