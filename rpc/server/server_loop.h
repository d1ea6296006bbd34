// A server's part on one I/O thread: its connections there, and their end.
//
//   Adopt ──► loop_listeners.h, until the protocol is known ──► session_table.h, until it has ended
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
#include "weft/rpc/server/server_counts.h"
#include "weft/rpc/server/session_authentications.h"
#include "weft/rpc/server_options.h"

namespace weft {

class ServerLoop final : public SessionHost {
 public:
  ServerLoop(IoThread& io, const std::shared_ptr<Dispatcher>& dispatcher,
             std::shared_ptr<const ServerOptions> options, std::shared_ptr<ServerCounts> counts,
             const Log& log, CallerMaker callers = nullptr);
  ~ServerLoop();

  // A connection dealt to this loop. `listener` outlives this.
  void Adopt(const Listener& listener, std::unique_ptr<Transport> transport,
             std::string peer) LOOP_ONLY;

  // No new calls; those under way may take until `deadline`, then they are cancelled and
  // connections closed. `done` runs on the loop when all is over: it waits for handlers, which
  // cannot be stopped from outside.
  void Drain(MonoTime deadline, std::function<void()> done) LOOP_ONLY;

 private:
  // SessionHost
  absl::Status OnHello(Session&, const HelloFacts& peer, HelloFacts* own) LOOP_ONLY override;
  void OnUp(Session& session) LOOP_ONLY override;
  void OnGoAwayConfirmed(Session& session) LOOP_ONLY override;
  void OnInboundCallsEnded(Session& session) LOOP_ONLY override { CloseIfFinished(session); }
  void OnSuspect(Session& session, bool suspect) LOOP_ONLY override;
  void OnGoingAway(Session& session, const absl::Status& why) LOOP_ONLY override;
  void OnEnded(Session& session, CloseReason reason, const absl::Status& why) LOOP_ONLY override;
  void Authenticate(Session& session, std::string_view token, Verdict verdict) LOOP_ONLY override;
  void CountLateReply() LOOP_ONLY override {}

  // In the tables, for one connection more. False: there is no memory for it.
  bool MakeRoom(const Listener& listener) LOOP_ONLY;
  // A connection has shown its protocol.
  void Begin(const Listener& listener, InboundSink& sink, uint64_t id, const Protocol& protocol,
             SessionSeed seed, SessionStart start) LOOP_ONLY;
  // One is over.
  void Count(CloseReason reason, const absl::Status& why) LOOP_ONLY;
  // One that this side has told to leave.
  void CloseIfFinished(Session& session) LOOP_ONLY;
  void LookForIdle() LOOP_ONLY;

  IoThread& io_;
  EventLoop& loop_;
  const std::shared_ptr<const ServerOptions> options_;
  const std::shared_ptr<ServerCounts> counts_;
  const std::shared_ptr<CallPool> pool_;  // keeps the dispatcher
  const std::shared_ptr<const SessionConfig> config_;
  // Rung, where somebody waits for calls to come back, when one has, and when a session has ended.
  const std::shared_ptr<LoopBell> bell_;

  ConnectionLog log_ LOOP_OWNED;
  LoopDispatcher sink_ LOOP_OWNED;
  LoopListeners listeners_ LOOP_OWNED;
  SessionTable sessions_ LOOP_OWNED;
  SessionAuthentications authentications_ LOOP_OWNED;
  ConnectionAges ages_ LOOP_OWNED;
  Timer idle_look_ LOOP_OWNED;
  weft::Drain drain_ LOOP_OWNED;
};

}  // namespace weft

#endif  // WEFT_RPC_SERVER_SERVER_LOOP_H_
