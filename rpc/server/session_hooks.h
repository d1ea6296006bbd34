// The rules of a cluster's node for the sessions of its server: whom it takes, what it answers, and
// which of several connections with one peer stays. A server without a node has no hooks.
//
//   OnAccepted ──► OnHello ──► the authenticator ──► Judge ──► OnIdentified ──► OnUp ──► OnEnded
//
// Sessions that the node has dialled go the same way, beside those that were accepted.
//
// Threads  the loop of the session that is named; OnLoop: the thread that starts the server.
//          CallerFor: any
// Ends     OnEnded is the last word on a session, and OnLoopGone on a loop
#ifndef WEFT_RPC_SERVER_SESSION_HOOKS_H_
#define WEFT_RPC_SERVER_SESSION_HOOKS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "weft/core/loop_group.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/call_link.h"
#include "weft/rpc/call/call_target.h"
#include "weft/rpc/call/calling_node.h"
#include "weft/rpc/call/connected_peer.h"
#include "weft/rpc/protocol/close_reason.h"
#include "weft/rpc/protocol/connection_info.h"
#include "weft/rpc/protocol/hello_facts.h"
#include "weft/rpc/protocol/session_host.h"
#include "weft/rpc/server/node_loop.h"

namespace weft::internal {

struct Listener;

// A session, as threads other than its loop's may name it too.
struct SessionRef {
  size_t loop = 0;  // index of the loop that it lives on
  uint64_t id = 0;  // of its connection, unique in its server and never used again
};

class SessionHooks {
 public:
  virtual ~SessionHooks() = default;

  // A loop of the server runs, and has no session yet.
  virtual void OnLoop(size_t index, IoThread& io, NodeLoop& loop) = 0;
  // The loop's last session has ended, and its NodeLoop goes.
  virtual void OnLoopGone(size_t index) WEFT_LOOP_ONLY = 0;

  // A connection was accepted; OnHello or OnEnded follows. `address`: where its peer is.
  virtual void OnAccepted(const SessionRef& session, const std::string& address) WEFT_LOOP_ONLY = 0;
  // See SessionHost. An error is told to the peer, who is a stranger.
  virtual absl::Status OnHello(const SessionRef& session,
                               const HelloFacts& peer) WEFT_LOOP_ONLY = 0;
  // Stands between the authenticator, which calls the result from any thread, and the session,
  // which waits for `verdict`. `address`: where the peer is.
  virtual SessionHost::Verdict Judge(const SessionRef& session, const std::string& address,
                                     SessionHost::Verdict verdict) WEFT_LOOP_ONLY = 0;
  // See SessionHost. `own` is null where the peer has been answered.
  virtual absl::Status OnIdentified(const SessionRef& session, const ConnectedPeer& who,
                                    const HelloFacts& peer, HelloFacts* own) WEFT_LOOP_ONLY = 0;
  // After OnIdentified: the way by which its calls come, where it is one of a node's.
  virtual std::shared_ptr<const CallingWay> WayOf(const SessionRef& session) WEFT_LOOP_ONLY = 0;
  virtual void OnUp(const SessionRef& session, std::shared_ptr<CallLink> link,
                    std::shared_ptr<ConnectionGauge> gauge) WEFT_LOOP_ONLY = 0;
  // True if the session stays however old it is, and though nobody uses it.
  virtual bool Stays(const SessionRef& session) WEFT_LOOP_ONLY = 0;
  virtual void OnSuspect(const SessionRef& session, bool suspect) WEFT_LOOP_ONLY = 0;
  virtual void OnGoingAway(const SessionRef& session, const absl::Status& why) WEFT_LOOP_ONLY = 0;
  // See SessionHost.
  virtual void OnOwnCallsEnded(const SessionRef& session) WEFT_LOOP_ONLY = 0;
  virtual void OnEnded(const SessionRef& session, CloseReason reason,
                       const absl::Status& why) WEFT_LOOP_ONLY = 0;

  // Makes the target with which handlers call the other end of a link. Null: the link's own
  // connection will do.
  WEFT_ANY_THREAD virtual std::unique_ptr<CallTarget> CallerFor(
      const std::shared_ptr<CallLink>& link) = 0;
};

// The node that a server belongs to, as one loop of that server has it.
struct NodeSide {
  std::shared_ptr<SessionHooks> hooks = nullptr;  // null: there is none
  size_t index = 0;                               // of the loop
  // For connections that the node has dialled; outlives the loop's part.
  const Listener* dialled = nullptr;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_SESSION_HOOKS_H_
