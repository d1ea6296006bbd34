// The server or channel that keeps sessions, as a session sees it. One for each loop.
//
// Threads  loop-only; the functions handed to Authenticate may be called from any thread
#ifndef WEFT_RPC_PROTOCOL_SESSION_HOST_H_
#define WEFT_RPC_PROTOCOL_SESSION_HOST_H_

#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/core/log.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/connected_peer.h"
#include "weft/rpc/protocol/close_reason.h"
#include "weft/rpc/protocol/hello_facts.h"

namespace weft::internal {

class Session;

class SessionHost {
 public:
  // Takes the verdict: the peer's identity, or why it may not talk. Any thread, at most once.
  using Verdict = std::function<void(absl::StatusOr<std::string> identity)>;

  // The peer's Hello has come. The peer is not authenticated, and nothing of it has been used.
  // `own`: this side's answer; ignored if this side has dialled or
  // SessionConfig::hello_after_verdict is set. An error refuses the peer, which is told the error
  // and nothing of this side.
  virtual absl::Status OnHello(Session&, const HelloFacts& peer, HelloFacts* own) WEFT_LOOP_ONLY {
    (void)peer, (void)own;
    return absl::OkStatus();
  }
  // After the verdict, before any call of the peer is taken. `peer`: the peer's Hello. `own`: this
  // side's answer, if its Hello is still to be sent; else null. An error refuses the peer, which is
  // told the error.
  virtual absl::Status OnIdentified(Session&, const ConnectedPeer& who, const HelloFacts& peer,
                                    HelloFacts* own) WEFT_LOOP_ONLY {
    (void)who, (void)peer, (void)own;
    return absl::OkStatus();
  }
  // The handshake is done: calls may start.
  virtual void OnUp(Session& session) WEFT_LOOP_ONLY = 0;
  // The peer wants no more calls; those under way go on. Once.
  virtual void OnGoingAway(Session& session, const absl::Status& why) WEFT_LOOP_ONLY = 0;
  // Calls of this side may have ended, while either side is leaving. Perhaps several times.
  virtual void OnOwnCallsEnded(Session&) WEFT_LOOP_ONLY {}
  // After OnGoingAway: no call is under way in either direction, and the peer will refuse none.
  // Perhaps several times.
  virtual void OnLastCallEnded(Session&) WEFT_LOOP_ONLY {}
  // After this side's GoAway: no call of the peer is under way. Perhaps several times.
  virtual void OnInboundCallsEnded(Session&) WEFT_LOOP_ONLY {}
  // The peer has confirmed this side's GoAway: everything it sent has been read, and it sends no
  // more.
  virtual void OnGoAwayConfirmed(Session&) WEFT_LOOP_ONLY {}
  // A heartbeat was not answered in time; false: the peer was heard again.
  virtual void OnSuspect(Session&, bool suspect) WEFT_LOOP_ONLY { (void)suspect; }
  // The session is over, perhaps before OnHello: a peer that refuses this side does not introduce
  // itself, and `why` is its reason. The host destroys the session in a later turn.
  virtual void OnEnded(Session& session, CloseReason reason,
                       const absl::Status& why) WEFT_LOOP_ONLY = 0;
  // Asks who sent `token`. Must not block the loop. A session that has ended needs no verdict.
  virtual void Authenticate(Session& session, std::string_view token,
                            Verdict verdict) WEFT_LOOP_ONLY = 0;
  // Counts a reply that came after its call's deadline or cancellation.
  virtual void CountLateReply() WEFT_LOOP_ONLY = 0;

 protected:
  ~SessionHost() = default;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_PROTOCOL_SESSION_HOST_H_
