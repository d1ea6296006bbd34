// A node of a cluster: a server, and a peer for each other member. Every node is client and server
// of every other, over one connection a pair that carries calls both ways.
//
//   auto members = weft::StaticMembers::Create({{"a", "10.0.0.1:7000"}, {"b", "10.0.0.2:7000"}});
//   auto node = weft::Node::Create({.name = "a", .listen = {"0.0.0.0:7000"}, .members = *members});
//   (*node)->Register(kv);
//   absl::Status s = (*node)->Start();
//   std::shared_ptr<weft::Peer> b = (*node)->To("b");  // outlives the stub
//   Kv::Stub stub(*b);
//
// Threads  any, once created; Register before Start. Stop and the destructor wait as Server's do
// Owns     its server, its peers' connections and, without a shared Runtime, its threads; refers to
//          services, which outlive it
// Errors   Create: INVALID_ARGUMENT names the option. Start: as Server's, or the membership's:
//          Announce's, or the first that comes while it starts
// Ends     Stop: the peers are told, calls under way may finish within `drain`, and all is closed;
//          idempotent. The destructor stops too. In a process forked from its own they do nothing
#ifndef WEFT_RPC_NODE_H_
#define WEFT_RPC_NODE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/call/service.h"
#include "weft/rpc/channel_options.h"
#include "weft/rpc/mesh/membership.h"
#include "weft/rpc/mesh/node_event.h"
#include "weft/rpc/mesh/node_identity.h"
#include "weft/rpc/mesh/node_view.h"
#include "weft/rpc/mesh/peer.h"
#include "weft/rpc/mesh/peer_set.h"
#include "weft/rpc/mesh/want.h"
#include "weft/rpc/method_options.h"
#include "weft/rpc/server.h"
#include "weft/rpc/server_options.h"

namespace weft {

namespace internal {
class NodeCore;
}  // namespace internal

struct NodeOptions {
  // The name of this node among the members: see Member.
  std::string name;
  // Nodes of another cluster are refused, also at an address that was reused. Up to 255 printable
  // bytes.
  std::string cluster = "";
  // The addresses on which it takes connections, as Server::Start has them; at least one.
  std::vector<std::string> listen;
  // The address at which others reach it, for memberships that are told (Membership::Announce).
  // Empty: the first address that it listens on.
  std::string advertise = "";
  // Says who the members are; not null. This node is a member even if it is not listed.
  std::shared_ptr<Membership> members = nullptr;
  // Connections to each peer, dealt to its I/O threads; two nodes keep the smaller number of what
  // they wish. Calls go to the least busy one; those of ordered methods always to the same. 1 to
  // 16.
  int connections_per_peer = 1;
  // A peer that was silent for so long is asked for a sign of life; it is suspect when none has
  // come after another interval, and down after `heartbeat_misses` of them. Zero, negative or
  // infinite: refused.
  absl::Duration heartbeat = absl::Seconds(1);
  int heartbeat_misses = 2;
  // Different for each start of the process. 0: the microseconds since the epoch.
  uint64_t incarnation = 0;
  // Decides if a peer may have its name, by the verdict of `server.authenticator`, at both ends of
  // each connection. Null: it may if the verdict is empty or equals the name. Without an
  // authenticator names are believed, and Start says so in the log.
  NodeIdentity identity = nullptr;
  // Told of the changes of peers and views.
  NodeListener on_event = nullptr;
  // Its server: threads, limits, authentication, overload. `auth_token` is what peers are shown,
  // dialled or accepted. Heartbeats are those above.
  ServerOptions server = {};
  // Calls to peers: timeout, retries, hedging, budget, interceptors, compression; and how peers are
  // dialled (connect_timeout, backoff, backoff_factor, max_backoff, transport).
  ChannelOptions calls = {};
};

class Node final : public BroadcastTargets {
 public:
  static absl::StatusOr<std::unique_ptr<Node>> Create(NodeOptions options);
  ~Node() override;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // See Server::Register and Server::Configure.
  absl::Status Register(Service& service, ServiceOptions options = {});
  absl::Status Configure(const MethodInfo& method, MethodOptions options);
  // A view that the membership gives at once holds when this returns: its members can be called. An
  // error that it gives at once is Start's.
  absl::Status Start();
  void Stop();
  void Stop(absl::Duration drain);

  // The target of calls to a member, itself included. Never null: a name that no member has gets a
  // peer whose calls end with NOT_FOUND.
  std::shared_ptr<Peer> To(std::string_view name) const;
  // The members as a broadcast finds them (rpc/broadcast.h): empty before Start.
  std::shared_ptr<const PeerSet> Snapshot() const override;
  // All members but itself, and those that were; by name.
  std::vector<PeerInfo> peers() const;
  // The members as it has them now.
  NodeView view() const;
  // Of each method that was called at members, itself included, by name; see Channel::Stats. Calls
  // of members at this node are counted by server().Stats().
  std::vector<CallStatsSnapshot> CallStats() const;
  // Blocks until so many members are up, itself counted. DEADLINE_EXCEEDED says who is missing;
  // FAILED_PRECONDITION: on an I/O thread or in a callback, where it would wait for itself.
  absl::Status WaitUntilUp(Want want, absl::Duration timeout) const;

  const std::string& name() const;
  uint64_t incarnation() const;
  // Where the lines of the node and its server go (NodeOptions::server); level and sink may be
  // changed while it runs.
  const Log& log() const;
  // The part of it that takes connections.
  const Server& server() const;

 private:
  explicit Node(std::shared_ptr<internal::NodeCore> core);

  const std::shared_ptr<internal::NodeCore> core_;
};

}  // namespace weft

#endif  // WEFT_RPC_NODE_H_
