#include "weft/rpc/node.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/duration_check.h"
#include "weft/core/fork_guard.h"
#include "weft/core/in_process_network.h"
#include "weft/core/runtime.h"
#include "weft/rpc/node_core.h"
#include "weft/rpc/protocol/option_durations.h"

namespace weft {

using namespace internal;

namespace {

constexpr int kMaxConnectionsPerPeer = 16;
constexpr size_t kMaxCluster = 255;

absl::Status Check(const NodeOptions& options) {
  if (absl::Status s = Member::CheckName(options.name); !s.ok()) return s;
  if (options.cluster.size() > kMaxCluster) {
    return absl::InvalidArgumentError(
        absl::StrCat("node ", options.name, ": its cluster's name has ", options.cluster.size(),
                     " bytes, at most ", kMaxCluster, " are allowed"));
  }
  if (options.members == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("node ", options.name, ": no membership (NodeOptions::members)"));
  }
  if (options.listen.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("node ", options.name, ": no address to listen on (NodeOptions::listen)"));
  }
  if (options.connections_per_peer < 1 || options.connections_per_peer > kMaxConnectionsPerPeer) {
    return absl::InvalidArgumentError(absl::StrCat("connections_per_peer: expected 1 to ",
                                                   kMaxConnectionsPerPeer, ", got ",
                                                   options.connections_per_peer));
  }
  if (options.heartbeat <= absl::ZeroDuration() || options.heartbeat == absl::InfiniteDuration() ||
      options.heartbeat_misses < 1) {
    return absl::InvalidArgumentError(
        "heartbeat: expected a finite interval above zero and at least one miss");
  }
  // Those of its server are checked where it begins to listen.
  const ChannelOptions& calls = options.calls;
  absl::Status s = DurationCheck::All(
      "ChannelOptions",
      {{"timeout", calls.timeout, DurationCheck::Takes::kAboveZero},
       {"connect_timeout", calls.connect_timeout, DurationCheck::Takes::kAboveZero},
       {"backoff", calls.backoff},
       {"max_backoff", calls.max_backoff}});
  s.Update(CheckStartDurations(calls));
  return s;
}

absl::StatusOr<std::shared_ptr<Runtime>> RuntimeOf(const ServerOptions& server) {
  if (server.runtime != nullptr) return server.runtime;
  RuntimeOptions own;
  own.io_threads = server.io_threads;
  own.worker_threads = server.worker_threads;
  own.max_worker_threads = server.max_worker_threads;
  own.worker_queue = server.worker_queue;
  own.pools = server.pools;
  own.spin = server.spin;
  own.log_level = server.log.level.value_or(own.log_level);
  own.log_sink = server.log.sink;
  return Runtime::Create(std::move(own));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Node>> Node::Create(NodeOptions options) {
  if (absl::Status s = Check(options); !s.ok()) return s;
  absl::StatusOr<std::shared_ptr<Runtime>> runtime = RuntimeOf(options.server);
  if (!runtime.ok()) return runtime.status();
  // The node's way to itself needs a network, even if the application gives none.
  if (options.server.network == nullptr) options.server.network = InProcessNetwork::Create();
  auto core = std::make_shared<NodeCore>(std::move(options), *std::move(runtime));
  core->MakeServer();
  return std::unique_ptr<Node>(new Node(std::move(core)));
}

Node::Node(std::shared_ptr<NodeCore> core) : core_(std::move(core)) {}
Node::~Node() {
  if (core_->InForkedChild()) {
    ForkGuard::LeaveBehind(core_);
  } else {
    Stop();
  }
}
absl::Status Node::Register(Service& service, ServiceOptions options) {
  return core_->server().Register(service, std::move(options));
}
absl::Status Node::Configure(const MethodInfo& method, MethodOptions options) {
  return core_->server().Configure(method, std::move(options));
}
absl::Status Node::Start() {
  return core_->InForkedChild() ? ForkGuard::Refused("node") : core_->Start();
}
void Node::Stop() { Stop(core_->options().server.drain); }
void Node::Stop(absl::Duration drain) {
  if (!core_->InForkedChild()) core_->Stop(drain);
}
std::shared_ptr<Peer> Node::To(std::string_view name) const { return core_->To(name); }
std::vector<PeerInfo> Node::peers() const { return core_->peers(); }
NodeView Node::view() const { return core_->view(); }
std::vector<CallStatsSnapshot> Node::CallStats() const { return core_->call_stats(); }
std::shared_ptr<const PeerSet> Node::Snapshot() const { return core_->Snapshot(); }
absl::Status Node::WaitUntilUp(Want want, absl::Duration timeout) const {
  return core_->WaitUntilUp(want, timeout);
}
const std::string& Node::name() const { return core_->options().name; }
uint64_t Node::incarnation() const { return core_->incarnation(); }
const Log& Node::log() const { return core_->log(); }
const Server& Node::server() const { return core_->server(); }

}  // namespace weft
