// Who keeps sessions: a server or a channel, seen from a session. One a loop.
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

namespace weft {

class Session;

class SessionHost {
 public:
  // The verdict: who the peer is, or why it may not talk. From any thread, at most once.
  using Verdict = std::function<void(absl::StatusOr<std::string> identity)>;

  // The peer has said who it is; nothing of it has been taken yet, and it is not authenticated.
  // `own`: what this side answers, where it was dialled. An error refuses the peer, and is told it.
  virtual absl::Status OnHello(Session&, const HelloFacts& peer, HelloFacts* own) LOOP_ONLY {
    (void)peer, (void)own;
    return absl::OkStatus();
  }
  // After the verdict, before any call of the peer is taken. An error refuses the peer, and is told
  // it.
  virtual absl::Status OnIdentified(Session&, const ConnectedPeer&) LOOP_ONLY {
    return absl::OkStatus();
  }
  // The handshake is done: calls may start.
  virtual void OnUp(Session& session) LOOP_ONLY = 0;
  // The peer wants no more calls; those under way go on. Once.
  virtual void OnGoingAway(Session& session, const absl::Status& why) LOOP_ONLY = 0;
  // After OnGoingAway: no call is under way any more, in either direction, and the peer will refuse
  // none. Perhaps several times.
  virtual void OnLastCallEnded(Session&) LOOP_ONLY {}
  // After our GoAway: no call of the peer is under way any more. Perhaps several times.
  virtual void OnInboundCallsEnded(Session&) LOOP_ONLY {}
  // The peer has confirmed our GoAway: all that it sent has been read, and it sends no more.
  virtual void OnGoAwayConfirmed(Session&) LOOP_ONLY {}
  // A heartbeat was not answered in time; or, false: the peer was heard of after all.
  virtual void OnSuspect(Session&, bool suspect) LOOP_ONLY { (void)suspect; }
  // It is over. The host destroys the session in a later turn.
  virtual void OnEnded(Session& session, CloseReason reason, const absl::Status& why) LOOP_ONLY = 0;
  // Asks who sent this token. Must not block the loop. No verdict need come for a session that has
  // ended.
  virtual void Authenticate(Session& session, std::string_view token,
                            Verdict verdict) LOOP_ONLY = 0;
  // Replies that came after their call's deadline or cancelling.
  virtual void CountLateReply() LOOP_ONLY = 0;

 protected:
  ~SessionHost() = default;
};

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_SESSION_HOST_H_
