// The whole of a node behind weft::Node: its server, its peers, its views, and the way to itself.
//
// The threads of its server keep it alive until the server has stopped, whatever the application
// does with its Node.
//
//   MakeServer ──► Start ──► OnView, as often as the members change ──► Stop ──► OnStopped
//
// Threads  any, once MakeServer has returned; PairHost and PeerDirectory as they say themselves
// Owns     its server, its peers' connections, a share of its runtime
// Errors   as Node's
// Ends     OnStopped, when the server has stopped: calls of all peers end, and it lets go of itself
#ifndef WEFT_RPC_NODE_CORE_H_
#define WEFT_RPC_NODE_CORE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/core/fork_guard.h"
#include "weft/core/log.h"
#include "weft/core/mutex.h"
#include "weft/core/runtime.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/client/call_starter.h"
#include "weft/rpc/mesh/mesh_loops.h"
#include "weft/rpc/mesh/node_events.h"
#include "weft/rpc/mesh/node_view.h"
#include "weft/rpc/mesh/pair_host.h"
#include "weft/rpc/mesh/pair_settings.h"
#include "weft/rpc/mesh/peer_directory.h"
#include "weft/rpc/mesh/peer_table.h"
#include "weft/rpc/mesh/session_desk.h"
#include "weft/rpc/mesh/view_exchange.h"
#include "weft/rpc/node.h"
#include "weft/rpc/server.h"

namespace weft::internal {

class NodeCore final : public PairHost,
                       public PeerDirectory,
                       public std::enable_shared_from_this<NodeCore> {
 public:
  NodeCore(NodeOptions options, std::shared_ptr<Runtime> runtime);

  Server& server() { return *server_; }
  const NodeOptions& options() const { return options_; }
  uint64_t incarnation() const { return settings_->incarnation; }
  const Log& log() const { return log_; }
  // In a process forked from the node's.
  bool InForkedChild() const { return home_.InForkedChild(); }
  void MakeServer();
  absl::Status Start() WEFT_EXCLUDES(mu_);
  void Stop(absl::Duration drain) WEFT_EXCLUDES(mu_);
  std::shared_ptr<Peer> To(std::string_view name) WEFT_EXCLUDES(mu_);
  std::vector<PeerInfo> peers() WEFT_EXCLUDES(mu_);
  NodeView view() const { return views_->log().current(); }
  std::vector<CallStatsSnapshot> call_stats() const { return config_->stats->Snapshot(); }
  std::shared_ptr<const PeerSet> Snapshot() WEFT_EXCLUDES(mu_);
  absl::Status WaitUntilUp(Want want, absl::Duration timeout) WEFT_EXCLUDES(mu_);

  // PairHost
  void OnDialled(const SessionRef& session,
                 const std::shared_ptr<Pair>& pair) WEFT_LOOP_ONLY override {
    desk_->Expect(session, pair);
  }
  WEFT_ANY_THREAD void OnPeerState(const PeerInfo& peer) override WEFT_EXCLUDES(mu_);
  WEFT_ANY_THREAD void OnWrongNode(const Pair& pair, const absl::Status& why) override;
  WEFT_ANY_THREAD void OnDuplicateName(const absl::Status& why) override;

  // PeerDirectory
  WEFT_ANY_THREAD std::shared_ptr<Pair> FindPair(std::string_view name) override;
  WEFT_ANY_THREAD std::shared_ptr<CallTarget> FindTarget(std::string_view name) override;
  WEFT_ANY_THREAD void Tell(NodeEvent event) override { events_->Push(std::move(event)); }
  // Asks at most once a second: strangers' messages may cause it.
  WEFT_ANY_THREAD void AskMembership() override;

 private:
  // Makes the node's way to itself, over memory.
  absl::Status ReachSelf();
  void OnView(absl::StatusOr<View> view) WEFT_EXCLUDES(mu_);
  void OnViewsDiffer(const ViewLog::Difference& difference);
  std::shared_ptr<const PeerSet> SetOf(const View& view) const;
  // The server has stopped.
  void OnStopped() WEFT_EXCLUDES(mu_);
  // Ends the calls of all peers. Does nothing before there are peers.
  void CloseCalls() WEFT_EXCLUDES(mu_);
  // Counts the members of the view that are up, and itself. `missing` gets the names of the others.
  int CountUp(const View& view, std::vector<std::string>* missing) const WEFT_REQUIRES(mu_);

  const ForkGuard home_;
  const NodeOptions options_;
  const std::shared_ptr<Runtime> runtime_;
  Log log_;  // by MakeServer, constant afterwards
  const std::shared_ptr<PairSettings> settings_;
  const std::shared_ptr<MeshLoops> loops_;
  const std::shared_ptr<SessionDesk> desk_;
  const std::shared_ptr<NodeEvents> events_;
  const std::shared_ptr<const StartConfig> config_;
  const std::unique_ptr<PeerTable> table_;
  std::shared_ptr<ViewExchange> views_;  // by MakeServer; outlives the server, which serves it
  std::unique_ptr<Server> server_;       // by MakeServer
  // By Start, and constant once reaches_self_ says so.
  std::shared_ptr<CallStarter> self_starter_;
  std::shared_ptr<Peer> self_;
  std::atomic<bool> reaches_self_{false};
  std::atomic<int64_t> ask_from_{0};  // the membership is not asked before

  mutable Mutex mu_;
  CondVar up_changed_;
  std::shared_ptr<const PeerSet> set_ WEFT_GUARDED_BY(mu_);  // of the view's members
  absl::Status first_error_ WEFT_GUARDED_BY(mu_);
  std::map<std::string, PeerState, std::less<>> states_ WEFT_GUARDED_BY(mu_);
  bool started_ WEFT_GUARDED_BY(mu_) = false;
  bool stopping_ WEFT_GUARDED_BY(mu_) = false;
  bool has_threads_ WEFT_GUARDED_BY(mu_) = false;  // the server's, which call OnStopped
  bool calls_closed_ WEFT_GUARDED_BY(mu_) = false;
  // A share of itself, until the server has stopped.
  std::shared_ptr<NodeCore> kept_ WEFT_GUARDED_BY(mu_);
};

}  // namespace weft::internal

#endif  // WEFT_RPC_NODE_CORE_H_
