// A server's part on one I/O thread: its sessions there, and their end.
//
// Threads  loop-only, but for the counters
// Owns     the sessions of its loop
// Ends     Drain calls back once, when every session has ended, every call has been answered and no
//          authenticator runs
#ifndef WEFT_RPC_SERVER_SERVER_LOOP_H_
#define WEFT_RPC_SERVER_SERVER_LOOP_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "weft/core/loop_bell.h"
#include "weft/core/loop_group.h"
#include "weft/core/timer.h"
#include "weft/core/transport.h"
#include "weft/rpc/base/inflate_gate.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/protocol/connection_list.h"
#include "weft/rpc/protocol/idle_watch.h"
#include "weft/rpc/protocol/session.h"
#include "weft/rpc/protocol/session_config.h"
#include "weft/rpc/protocol/session_host.h"
#include "weft/rpc/server/connection_age.h"
#include "weft/rpc/server/dispatcher.h"
#include "weft/rpc/server/incoming_connections.h"
#include "weft/rpc/server/limited_sink.h"
#include "weft/rpc/server/listener.h"
#include "weft/rpc/server/loop_dispatcher.h"
#include "weft/rpc/server_options.h"

namespace weft {

// What all loops of a server count together.
struct ServerCounts {
  std::atomic<int64_t> accepted{0};
  std::atomic<int64_t> open{0};
  CloseCounters closed;
  ConnectionList connections;
  // What its connections hold of input: all of them, and those whose client is not known yet.
  const std::shared_ptr<InputBudget> input, unknown_input;

  // Of all connections.
  const std::shared_ptr<InflateGate> gate;

  explicit ServerCounts(const ServerOptions& options)
      : connections(options.on_connection),
        input(std::make_shared<InputBudget>(options.max_input_bytes,
                                            "max_input_bytes of the server")),
        unknown_input(std::make_shared<InputBudget>(options.max_unknown_input_bytes,
                                                    "max_unknown_input_bytes of the server")),
        gate(std::make_shared<InflateGate>(options.limits.inflate, "server")) {}
};

class ServerLoop final : public SessionHost, public ConnectionAgeHost {
 public:
  ServerLoop(IoThread& io, std::shared_ptr<Dispatcher> dispatcher,
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

  size_t sessions() const LOOP_ONLY { return sessions_.size(); }

 private:
  // kNone ─Drain─► kCalls ─no session, no call─► kAuthenticators ─► kHandlers ─► kDrained
  enum class DrainStep : uint8_t { kNone, kCalls, kAuthenticators, kHandlers, kDrained };
  static bool MayGo(DrainStep from, DrainStep to);
  // What this loop has of a listener.
  struct Part {
    std::unique_ptr<IncomingConnections> incoming;
    std::unique_ptr<LimitedSink> limited;  // null: it offers everything
  };
  struct Entry {
    std::unique_ptr<Session> session;
    const Listener* listener;
    uint64_t id;                  // in counts_->connections
    uint64_t authentication = 0;  // its number in the queue; 0: never asked for
    IdleWatch idle = {};
    MonoTime leaving_since = kNever;  // for want of calls
    bool up = false;
    bool confirmed = false;  // it knows that we go away, and sends no more calls

    // It may be closed after our GOAWAY: its calls have ended and, unless that is `waited_for`
    // long enough, its client has confirmed. What a client sent before it heard of the end is read
    // and served; closing earlier would reset the connection, and take our last words with it.
    bool Finished(bool waited_for) const LOOP_ONLY {
      return (confirmed || waited_for || !session->confirms_going_away()) &&
             session->inbound_calls() == 0;
    }
  };

  // SessionHost
  void OnUp(Session& session) LOOP_ONLY override;
  void OnGoAwayConfirmed(Session& session) LOOP_ONLY override;
  void OnInboundCallsEnded(Session& session) LOOP_ONLY override { CloseIfFinished(session); }
  void OnSuspect(Session& session, bool suspect) LOOP_ONLY override;
  void OnGoingAway(Session& session, const absl::Status& why) LOOP_ONLY override;
  void OnEnded(Session& session, CloseReason reason, const absl::Status& why) LOOP_ONLY override;
  void Authenticate(Session& session, std::string_view token, Verdict verdict) LOOP_ONLY override;
  void CountLateReply() LOOP_ONLY override {}

  // ConnectionAgeHost
  void OnAge(Session& session) override;

  // A connection that was dealt to this loop has shown its protocol; or came to nothing before.
  void Begin(const Listener& listener, uint64_t id, const Protocol& protocol, SessionSeed seed,
             SessionStart start) LOOP_ONLY;
  void Count(uint64_t id, CloseReason reason, const absl::Status& why) LOOP_ONLY;
  void Refuse(const std::string& peer, const std::string& why) LOOP_ONLY;
  // Made with its first connection.
  Part& PartOf(const Listener& listener) LOOP_ONLY;
  // False: there is no memory for it.
  bool MakeRoom(Part& part) LOOP_ONLY;
  // Those there are now. Any call of a session may end it, and take it out of sessions_: whoever
  // goes through them looks whether the next one is still there.
  std::vector<Session*> Sessions() const LOOP_ONLY;
  // Of one that this side has told to leave.
  void CloseIfFinished(Session& session) LOOP_ONLY;
  void SetStep(DrainStep to) LOOP_ONLY;
  // A step of the drain has come to its limit.
  void OnDrainTimer() LOOP_ONLY;
  // Where the calls have ended, waits for what may still run.
  void ContinueDrain() LOOP_ONLY;
  void AwaitHandlers();
  void EndDrain();
  // Runs the next step on the loop, on which this waits for it.
  ANY_THREAD void Resume(void (ServerLoop::*next)());
  // The queues of this loop's listeners.
  absl::flat_hash_set<AuthenticationQueue*> Authentications() const LOOP_ONLY;
  void LookForIdle() LOOP_ONLY;
  // Where the connection still waits for it.
  void StopAuthenticating(Entry& entry) LOOP_ONLY;

  IoThread& io_;
  EventLoop& loop_;
  const std::shared_ptr<Dispatcher> dispatcher_;
  const std::shared_ptr<const ServerOptions> options_;
  const std::shared_ptr<ServerCounts> counts_;
  const Log log_;
  LogLimiter limiter_{10};

  LoopDispatcher sink_ LOOP_OWNED;
  const std::shared_ptr<CallPool> pool_;
  const std::shared_ptr<const SessionConfig> config_;
  std::unordered_map<const Listener*, Part> parts_ LOOP_OWNED;
  // Maps of the standard library: one that cannot grow stays as it was.
  std::unordered_map<Session*, Entry> sessions_ LOOP_OWNED;
  Timer idle_look_ LOOP_OWNED;
  // Only where connections have an age.
  std::unordered_map<Session*, std::unique_ptr<ConnectionAge>> ages_ LOOP_OWNED;
  uint64_t random_ LOOP_OWNED;
  size_t announced_ LOOP_OWNED = 0;  // of ages_
  // Rung, where somebody waits for calls to come back, when one has, and when a session has ended.
  const std::shared_ptr<LoopBell> bell_;
  struct {
    DrainStep step = DrainStep::kNone;
    MonoTime deadline = kNever;
    MonoTime confirm_by{};  // that we go away
    MonoTime next_warning{};
    bool cancelled = false;
    std::function<void()> done;
  } drain_ LOOP_OWNED;
  Timer drain_timer_ LOOP_OWNED;
};

}  // namespace weft

#endif  // WEFT_RPC_SERVER_SERVER_LOOP_H_
