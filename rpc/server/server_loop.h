// A server's part on one I/O thread: its connections there, and their end.
//
//   Adopt ──► loop_listeners.h, until the protocol is known ──► session_table.h, until it has ended
//
// A server that belongs to a node has the connections that the node has dialled beside them
// (NodeLoop), and asks the node about every peer (SessionHooks).
//
// A Server makes one for each loop of its runtime when it starts, and destroys it on that loop when
// it has been drained.
//
// Threads  loop-only
// Owns     the connections of its loop; refers to the server's listeners
// Ends     Drain calls back once, when every session has ended, every call has been answered, no
//          authenticator runs and every handler has left its service
#ifndef WEFT_RPC_SERVER_SERVER_LOOP_H_
#define WEFT_RPC_SERVER_SERVER_LOOP_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "weft/core/log.h"
#include "weft/core/loop_bell.h"
#include "weft/core/loop_group.h"
#include "weft/core/timer.h"
#include "weft/core/transport.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/protocol/call_authentication.h"
#include "weft/rpc/protocol/session_config.h"
#include "weft/rpc/protocol/session_host.h"
#include "weft/rpc/protocol/session_table.h"
#include "weft/rpc/server/connection_ages.h"
#include "weft/rpc/server/connection_log.h"
#include "weft/rpc/server/dispatcher.h"
#include "weft/rpc/server/drain.h"
#include "weft/rpc/server/listener.h"
#include "weft/rpc/server/loop_dispatcher.h"
#include "weft/rpc/server/loop_listeners.h"
#include "weft/rpc/server/node_loop.h"
#include "weft/rpc/server/server_counts.h"
#include "weft/rpc/server/session_authentications.h"
#include "weft/rpc/server/session_hooks.h"
#include "weft/rpc/server_options.h"

namespace weft::internal {

class ServerLoop final : public SessionHost, public NodeLoop {
 public:
  ServerLoop(IoThread& io, const std::shared_ptr<Dispatcher>& dispatcher,
             std::shared_ptr<const ServerOptions> options, std::shared_ptr<ServerCounts> counts,
             const Log& log, CallerMaker callers = nullptr, NodeSide node = {});
  ~ServerLoop();

  // A connection dealt to this loop. `listener` outlives this.
  void Adopt(const Listener& listener, std::unique_ptr<Transport> transport,
             std::string peer) WEFT_LOOP_ONLY;

  // No new calls; those under way may take until `deadline`, then they are cancelled and
  // connections closed. `done` runs on the loop when all is over: it waits for handlers, which
  // cannot be stopped from outside.
  void Drain(MonoTime deadline, std::function<void()> done) WEFT_LOOP_ONLY;

  // NodeLoop
  uint64_t NumberDialled(const std::string& peer) WEFT_LOOP_ONLY override;
  void AdoptDialled(uint64_t id, const Protocol& protocol,
                    SessionSeed seed) WEFT_LOOP_ONLY override;
  void Leave(uint64_t id, const absl::Status& why, Nanos grace) WEFT_LOOP_ONLY override;
  void Close(uint64_t id, CloseReason reason, const absl::Status& why) WEFT_LOOP_ONLY override;
  void SetMayPause(uint64_t id, bool may) WEFT_LOOP_ONLY override;
  void Probe(uint64_t id, std::function<void()> alive) WEFT_LOOP_ONLY override;

 private:
  // SessionHost
  absl::Status OnHello(Session& session, const HelloFacts& peer,
                       HelloFacts* own) WEFT_LOOP_ONLY override;
  absl::Status OnIdentified(Session& session, const ConnectedPeer& who, const HelloFacts& peer,
                            HelloFacts* own) WEFT_LOOP_ONLY override;
  void OnUp(Session& session) WEFT_LOOP_ONLY override;
  void OnLastCallEnded(Session& session) WEFT_LOOP_ONLY override { CloseIfFinished(session); }
  void OnGoAwayConfirmed(Session& session) WEFT_LOOP_ONLY override;
  void OnOwnCallsEnded(Session& session) WEFT_LOOP_ONLY override;
  void OnInboundCallsEnded(Session& session) WEFT_LOOP_ONLY override { CloseIfFinished(session); }
  void OnSuspect(Session& session, bool suspect) WEFT_LOOP_ONLY override;
  void OnGoingAway(Session& session, const absl::Status& why) WEFT_LOOP_ONLY override;
  void OnEnded(Session& session, CloseReason reason,
               const absl::Status& why) WEFT_LOOP_ONLY override;
  void Authenticate(Session& session, std::string_view token,
                    Verdict verdict) WEFT_LOOP_ONLY override;
  void CountLateReply() WEFT_LOOP_ONLY override {}

  EventLoop& loop() const { return *io_.loop; }
  // Counts one more open connection. False: it is refused, because there are too many or there is
  // no memory for it.
  bool MakeRoom(const Listener& listener, const std::string& peer) WEFT_LOOP_ONLY;
  // Begins the session of a connection whose protocol is known. `make`: the protocol's.
  using MakeSession = std::unique_ptr<Session> (*)(SessionSeed seed, const SessionContext& context);
  void Begin(const Listener& listener, InboundSink& sink, uint64_t id, MakeSession make,
             SessionSeed seed, SessionStart start) WEFT_LOOP_ONLY;
  SessionRef RefOf(const Session& session) const WEFT_LOOP_ONLY {
    return {node_.index, sessions_.number(session)};
  }
  // Counts a connection that is over. `of_peer`: it was one of a node's peers.
  // `peer` is empty where `why` names it.
  void Count(CloseReason reason, const absl::Status& why, std::string_view peer,
             bool of_peer) WEFT_LOOP_ONLY;
  // Closes a session that this side has told to leave, if it is finished.
  void CloseIfFinished(Session& session) WEFT_LOOP_ONLY;
  void LookForIdle() WEFT_LOOP_ONLY;

  IoThread& io_;
  const NodeSide node_;
  const std::shared_ptr<const ServerOptions> options_;
  const std::shared_ptr<ServerCounts> counts_;
  const std::shared_ptr<CallPool> pool_;  // keeps the dispatcher
  const std::shared_ptr<const SessionConfig> config_;
  // While calls are waited for, rings when a call has come back and when a session has ended.
  const std::shared_ptr<LoopBell> bell_;

  ConnectionLog log_ WEFT_LOOP_OWNED;
  LoopDispatcher sink_ WEFT_LOOP_OWNED;
  LoopListeners listeners_ WEFT_LOOP_OWNED;
  SessionTable sessions_ WEFT_LOOP_OWNED;
  SessionAuthentications authentications_ WEFT_LOOP_OWNED;
  ConnectionAges ages_ WEFT_LOOP_OWNED;
  Timer idle_look_ WEFT_LOOP_OWNED;
  weft::internal::Drain drain_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_SERVER_LOOP_H_
