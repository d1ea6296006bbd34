// Ends this side's calls where no reply does: cancelled, out of time, given up, refused by a peer
// that goes away, or with the connection.
//
// Each is taken out of the link's table first, so that whatever its end calls finds it ended.
//
// Threads  the session's loop
// Owns     the timer of the looks for deadlines that the loop does not know of yet
// Errors   the text of a call's end names the call, its peer and the time that it took
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

namespace weft::native {

class Leaving;
class UnfinishedMessages;

class CallEnder final : public DeadlineTarget {
 public:
  explicit CallEnder(SessionShared& shared) : shared_(shared) {}

  // ---- from the link, on the loop. The session may be over when they return.
  void Cancel(uint64_t id) LOOP_ONLY;
  void OnCallDeadline(OutboundCall& call) override;
  // Puts deadlines that other threads have noted into the wheel.
  void LookForDeadlines() LOOP_ONLY;

  // ---- by the session's parts
  // A call whose server sends what cannot be taken: it is cancelled there.
  void GiveUp(uint64_t id, const absl::Status& why) LOOP_ONLY;
  // Calls of higher numbers than `last`, which the peer has refused.
  void EndAbove(uint64_t last, const absl::Status& why) LOOP_ONLY;
  // All, for the connection is over; no more deadlines are looked for.
  void EndAll(const absl::Status& reason) LOOP_ONLY;
  // Ends a call that is out of the table with an error of this side's making.
  void End(OutboundCall& call, absl::StatusCode code, std::string_view why,
           bool may_have_been_executed) LOOP_ONLY;
  // The same, for its deadline has come.
  void EndExpired(OutboundCall& call) LOOP_ONLY;

 private:
  SessionShared& shared_;
  // For deadlines that other threads have noted; with the first one.
  std::unique_ptr<Timer> look_timer_ LOOP_OWNED;
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_CALL_ENDER_H_
