#include "weft/rpc/node_core.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "weft/core/absl_view.h"
#include "weft/core/callback_queue.h"
#include "weft/core/event_loop.h"
#include "weft/core/guarded_call.h"
#include "weft/core/random_bits.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/client/endpoint_connection.h"
#include "weft/rpc/default_protocols.h"
#include "weft/rpc/mesh/self_peer.h"
#include "weft/rpc/mesh/unknown_peer.h"

namespace weft::internal {
namespace {

// The name of the callback in the log.
constexpr char kOnServerState[] = "a listener of a node's server's state";

// Nobody elsewhere can connect to it.
bool IsThisMachines(const std::string& address) {
  const absl::StatusOr<HostPort> parsed = HostPort::Parse(address);
  return parsed.ok() &&
         (parsed->is_unix() || parsed->is_in_process() || parsed->host == "localhost" ||
          parsed->host == "::1" || absl::StartsWith(parsed->host, "127."));
}

std::shared_ptr<const SlotDialerOptions> DialingOf(const NodeOptions& options) {
  auto dialing = std::make_shared<SlotDialerOptions>();
  dialing->protocol = options.calls.protocol.value_or(DefaultProtocols().front());
  dialing->dialer.network = options.server.network;
  dialing->dialer.transport = options.calls.transport;
  if (!dialing->protocol.alpn.empty()) {
    dialing->dialer.alpn.emplace_back(dialing->protocol.alpn);
  }
  // The transport gives a connection up when its heartbeat would: so late, unacknowledged bytes are
  // as good as a missing sign of life.
  dialing->dialer.lost_after = ToNanos(options.heartbeat * (options.heartbeat_misses + 1));
  dialing->limit = ToNanos(options.calls.connect_timeout);
  return dialing;
}

}  // namespace

NodeCore::NodeCore(NodeOptions options, std::shared_ptr<Runtime> runtime)
    : options_(std::move(options)),
      runtime_(std::move(runtime)),
      settings_(std::make_shared<PairSettings>()),
      loops_(std::make_shared<MeshLoops>()),
      desk_(std::make_shared<SessionDesk>(loops_, settings_, options_.identity, *this)),
      events_(std::make_shared<NodeEvents>(runtime_->loops().At(0).loop, options_.on_event)),
      config_(std::make_shared<const StartConfig>(
          StartConfig::Of(options_.calls, options_.server.limits, "calling node"))),
      table_(std::make_unique<PeerTable>(Pair::Around{loops_, settings_, DialingOf(options_), this},
                                         config_, RandomSeed())) {
  PairSettings& settings = *settings_;
  settings.node = options_.name;
  settings.cluster = options_.cluster;
  settings.incarnation = options_.incarnation;
  if (settings.incarnation == 0) {
    settings.incarnation =
        static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                  std::chrono::system_clock::now().time_since_epoch())
                                  .count());
  }
  settings.token = options_.server.auth_token;
  settings.own_token = absl::StrCat(absl::Hex(RandomSeed(), absl::kZeroPad16),
                                    absl::Hex(RandomSeed(), absl::kZeroPad16));
  settings.slots = static_cast<size_t>(options_.connections_per_peer);
  settings.backoff = ToNanos(options_.calls.backoff);
  settings.backoff_factor = options_.calls.backoff_factor;
  settings.max_backoff = ToNanos(options_.calls.max_backoff);
}

void NodeCore::MakeServer() {
  ServerOptions options = options_.server;
  const bool own_threads = std::exchange(options.runtime, runtime_) == nullptr;
  if (own_threads) options.log = {};  // the runtime has them
  options.limits.heartbeat_interval = options_.heartbeat;
  options.limits.heartbeat_misses = options_.heartbeat_misses;
  // The callbacks of the server and of the views hold this weakly: this owns both, and a share
  // there would keep all of them for ever.
  options.on_state = [self = weak_from_this(), told = options_.server.on_state](ServerState state) {
    if (told != nullptr) GuardedCall(kOnServerState, [&] { told(state); });
    const std::shared_ptr<NodeCore> core = self.lock();
    if (core != nullptr && state == ServerState::kStopped) core->OnStopped();
  };
  ViewExchange::Around around;
  around.node = options_.name;
  around.loop = runtime_->loops().At(0).loop;
  around.find = [weak = weak_from_this()](std::string_view name) {
    const std::shared_ptr<NodeCore> core = weak.lock();
    return core != nullptr && name != core->options_.name ? core->FindTarget(name) : nullptr;
  };
  around.tell = [weak = weak_from_this()](const ViewLog::Difference& difference) {
    if (const std::shared_ptr<NodeCore> core = weak.lock()) core->OnViewsDiffer(difference);
  };
  views_ = std::make_shared<ViewExchange>(std::move(around));
  server_ = std::make_unique<Server>(std::move(options), desk_);
  log_ = settings_->log = own_threads ? runtime_->log() : server_->log();
}

absl::Status NodeCore::ReachSelf() {
  // With the incarnation the name is this start's alone, also where nodes of a test share a
  // network.
  const std::string name = absl::StrCat(settings_->node, ".self.", settings_->incarnation);
  const std::string address = absl::StrCat("inproc:", name);
  ListenerOptions open;
  // The way to itself is inside the process: no encryption and no authenticator. The desk knows it
  // by own_token, which no other process can know.
  open.transport = nullptr;
  open.transport_optional = false;
  open.authenticator = Authenticator(nullptr);
  open.authenticate_calls = false;
  if (absl::Status s = server_->AddListener(address, std::move(open)); !s.ok()) return s;
  ChannelOptions channel = options_.calls;
  channel.network = options_.server.network;
  channel.transport = nullptr;
  if (!channel.protocol.has_value()) channel.protocol = DefaultProtocols().front();
  absl::StatusOr<HostPort> host_port = HostPort::Parse(address);
  if (!host_port.ok()) return host_port.status();
  EndpointOptions endpoint = EndpointOptions::Of(channel, *std::move(host_port), settings_->node);
  HelloFacts hello;
  hello.node = hello.wanted_node = settings_->node;
  hello.token = settings_->own_token;
  hello.cluster = settings_->cluster;
  hello.incarnation = settings_->incarnation;
  endpoint.hello = std::make_shared<const HelloFacts>(std::move(hello));
  IoThread& io = loops_->io(0);
  auto connection = std::make_shared<EndpointConnection>(io, Log(), std::move(endpoint));
  self_starter_ = std::make_shared<CallStarter>(connection, io, config_, settings_->node);
  self_starter_->SetKeeper(self_starter_);
  self_ = std::make_shared<SelfPeer>(settings_->node, options_.advertise, settings_->incarnation,
                                     self_starter_);
  return absl::OkStatus();
}

absl::Status NodeCore::Start() {
  {
    MutexLock lock(mu_);
    // A node starts once: its peers, views and listeners are not made for a second time.
    if (std::exchange(started_, true) || stopping_) {
      return absl::FailedPreconditionError(
          absl::StrCat("node ", options_.name, ": Start was called before"));
    }
    // The server's threads use this object until OnStopped, whatever the application does with its
    // Node.
    kept_ = shared_from_this();
  }
  absl::Status status = server_->Register(*views_, {});
  if (status.ok()) status = ReachSelf();  // starts the server's threads
  {
    MutexLock lock(mu_);
    // ReachSelf may have failed before the server had threads. Then OnStopped never comes, and Stop
    // itself has to drop the share.
    has_threads_ = loops_->size() > 0;
  }
  if (status.ok()) {
    reaches_self_.store(true, std::memory_order_release);
    options_.members->Start([weak = weak_from_this()](absl::StatusOr<View> view) {
      if (const std::shared_ptr<NodeCore> self = weak.lock()) self->OnView(std::move(view));
    });
    MutexLock lock(mu_);
    status = first_error_;
  }
  // Listen only after the first view: peers that connect find their pairs.
  for (const std::string& address : options_.listen) {
    if (status.ok()) status = server_->AddListener(address, {});
  }
  if (status.ok()) {
    Member self;
    self.name = options_.name;
    self.address = options_.advertise.empty() ? options_.listen.front() : options_.advertise;
    status = options_.members->Announce(self);
  }
  if (!status.ok()) {
    Stop(absl::ZeroDuration());
    CloseCalls();  // nothing to do if the server's end has done it
    return Annotate(status, absl::StrCat("node ", options_.name));
  }
  if (options_.server.authenticator == nullptr &&
      !std::ranges::all_of(options_.listen, IsThisMachines)) {
    log_.Warning(
        absl::StrCat("node ", options_.name,
                     ": no authenticator (NodeOptions::server): peers' names are believed"));
  }
  return absl::OkStatus();
}

void NodeCore::OnView(absl::StatusOr<View> view) {
  NodeEvent event;
  if (!view.ok()) {
    log_.Warning(absl::StrCat("node ", options_.name, ": no newer view of the members: ",
                              std::string(view.status().message())));
    event.kind = NodeEvent::Kind::kViewFailed;
    event.why = view.status();
    views_->log().Refuse(view.status());
    MutexLock lock(mu_);
    // Only an error before the first view is Start's: later the node goes on with the view that it
    // has.
    if (views_->log().current().epoch == 0) first_error_ = view.status();
  } else {
    // False: it is the same view as before.
    if (!views_->log().Take(*view, loops_->Now())) return;
    {
      MutexLock lock(mu_);
      if (stopping_) return;
      first_error_ = absl::OkStatus();
    }
    event.kind = NodeEvent::Kind::kView;
    event.epoch = views_->log().current().epoch;
    settings_->members.store(view->size(), std::memory_order_relaxed);
    std::set<std::string, std::less<>> hosts;
    for (const Member& member : view->members()) {
      hosts.emplace(HelloPlaces::HostOf(member.CanonicalAddress()));
    }
    desk_->places().SetMembers(std::move(hosts));
    // Hello places first, for connections of new members may come at once; then the peers; then the
    // set that broadcasts see, so that each member in it can be called.
    table_->Apply(*view);
    views_->OnView();
    std::shared_ptr<const PeerSet> set = SetOf(*view);
    MutexLock lock(mu_);
    // Swapped, so that the old set is destroyed without the mutex.
    set_.swap(set);
  }
  events_->Push(std::move(event));
  up_changed_.NotifyAll();
}

void NodeCore::OnViewsDiffer(const ViewLog::Difference& difference) {
  NodeEvent event;
  event.kind = NodeEvent::Kind::kViewsDiffer;
  event.peer = difference.peer;
  event.why = absl::FailedPreconditionError(
      absl::StrCat("peer ", difference.peer, " has version ", difference.version,
                   " of the view, and this node ", view().view.version(), ", for ",
                   absl::FormatDuration(ToAbsl(loops_->Now() - difference.since))));
  log_.Warning(absl::StrCat("node ", options_.name, ": ", std::string(event.why.message())));
  events_->Push(std::move(event));
}

std::shared_ptr<const PeerSet> NodeCore::SetOf(const View& view) const {
  auto set = std::make_shared<PeerSet>();
  for (const Member& member : view.members()) {
    if (member.name == options_.name) continue;
    if (std::shared_ptr<RemotePeer> peer = table_->Find(member.name)) {
      set->others.push_back({member.name, std::move(peer)});
    }
  }
  set->own_name = options_.name;
  set->is_member = true;
  set->self = self_;
  set->loop = runtime_->loops().At(0).loop;
  return set;
}

std::shared_ptr<const PeerSet> NodeCore::Snapshot() {
  {
    MutexLock lock(mu_);
    if (set_ != nullptr) return set_;
  }
  auto nobody = std::make_shared<PeerSet>();
  nobody->own_name = options_.name;
  return nobody;
}

void NodeCore::Stop(absl::Duration drain) {
  {
    MutexLock lock(mu_);
    stopping_ = true;
  }
  up_changed_.NotifyAll();
  // In this order: no new members, then no new connections, then the server ends those that exist,
  // and its last loop calls OnStopped.
  options_.members->Stop();
  table_->Retire();
  server_->Stop(drain);
  MutexLock lock(mu_);
  if (!has_threads_) kept_ = nullptr;  // without threads OnStopped never comes
}

void NodeCore::CloseCalls() {
  {
    MutexLock lock(mu_);
    // Both Start, when it fails, and OnStopped come here.
    if (!reaches_self_.load(std::memory_order_acquire) || std::exchange(calls_closed_, true)) {
      return;
    }
  }
  self_starter_->Close([kept = self_starter_] {});
  table_->Close([] {});
}

void NodeCore::OnStopped() {
  std::shared_ptr<NodeCore> kept;
  CloseCalls();
  const std::shared_ptr<EventLoop>& loop = runtime_->loops().At(0).loop;
  loop->AssertInLoop();
  events_->Stop();
  views_->Stop();
  {
    MutexLock lock(mu_);
    kept = std::move(kept_);
  }
  // Later: behind everything that was posted, and not inside the server's call.
  loop->Post([kept = std::move(kept)](TaskFate) mutable { kept.reset(); });
}

void NodeCore::OnPeerState(const PeerInfo& peer) {
  NodeEvent event;
  event.peer = peer.name;
  event.state = peer.state;
  event.why = peer.why;
  {
    MutexLock lock(mu_);
    // Kept also while the node stops, for CountUp; but events end with Stop.
    states_[peer.name] = peer.state;
    if (stopping_) return;
  }
  views_->OnPeer(peer.name, peer.state);
  // OutageLog tells of peers that are lost, and back.
  if (!PeerStates::Away(peer.state) && log_.Wants(LogLevel::kDebug)) {
    const std::string_view state = PeerStates::Name(peer.state);
    log_.Debug(absl::StrCat("node ", options_.name, ": peer ", AbslView(state), ": ", peer.name,
                            " at ", peer.address));
  }
  events_->Push(std::move(event));
  up_changed_.NotifyAll();
}

void NodeCore::OnWrongNode(const Pair& pair, const absl::Status& why) {
  NodeEvent event;
  event.kind = NodeEvent::Kind::kWrongNode;
  event.peer = pair.name();
  event.why = why;
  events_->Push(std::move(event));
  AskMembership();
}

void NodeCore::AskMembership() {
  constexpr Nanos kEvery = std::chrono::seconds(1);
  const int64_t now = loops_->Now().time_since_epoch().count();
  int64_t from = ask_from_.load(std::memory_order_relaxed);
  if (now < from ||
      !ask_from_.compare_exchange_strong(from, now + kEvery.count(), std::memory_order_relaxed)) {
    return;
  }
  options_.members->AskAgain();
}

void NodeCore::OnDuplicateName(const absl::Status& why) {
  NodeEvent event;
  event.kind = NodeEvent::Kind::kDuplicateName;
  event.peer = options_.name;
  event.why = why;
  events_->Push(std::move(event));
}

std::shared_ptr<Pair> NodeCore::FindPair(std::string_view name) {
  const std::shared_ptr<RemotePeer> peer = table_->Find(name);
  return peer != nullptr ? peer->pair() : nullptr;
}

std::shared_ptr<CallTarget> NodeCore::FindTarget(std::string_view name) {
  if (name != options_.name) return table_->Find(name);
  return reaches_self_.load(std::memory_order_acquire) ? self_ : nullptr;
}

std::shared_ptr<Peer> NodeCore::To(std::string_view name) {
  if (!reaches_self_.load(std::memory_order_acquire)) {
    return UnknownPeer::Create(std::string(name), runtime_->loops().At(0), config_,
                               absl::FailedPreconditionError(
                                   absl::StrCat("node ", options_.name, " has not been started")));
  }
  if (name == options_.name) return self_;
  if (std::shared_ptr<RemotePeer> peer = table_->Find(name)) return peer;
  return UnknownPeer::Create(std::string(name), runtime_->loops().At(0), config_,
                             absl::NotFoundError(absl::StrCat(
                                 "no member of the cluster is called \"", AbslView(name), "\"")));
}

std::vector<PeerInfo> NodeCore::peers() {
  std::vector<PeerInfo> all;
  for (const auto& peer : table_->All()) all.push_back(peer->Info());
  return all;
}

int NodeCore::CountUp(const View& view, std::vector<std::string>* missing) const {
  // This node counts as up.
  int up = 1;
  for (const Member& member : view.members()) {
    if (member.name == options_.name) continue;
    const auto it = states_.find(member.name);
    if (it != states_.end() && it->second == PeerState::kUp) {
      ++up;
    } else {
      missing->push_back(member.name);
    }
  }
  return up;
}

absl::Status NodeCore::WaitUntilUp(Want want, absl::Duration timeout) {
  if (EventLoop::Current() != nullptr || CallbackQueue::InCallback()) {
    return absl::FailedPreconditionError(
        "WaitUntilUp on an I/O thread or in a callback would wait for itself");
  }
  constexpr Nanos kLongest =
      std::chrono::hours(1);  // of one wait: more may not fit a condition's clock
  // The system's clock, whatever the node's is: this thread sleeps on a condition variable, which a
  // clock that a test moves does not wake.
  const MonoTime until = SaturatingAdd(std::chrono::steady_clock::now(), ToNanos(timeout));
  MutexLock lock(mu_);
  while (true) {
    const NodeView now = views_->log().current();
    std::vector<std::string> missing;
    const int up = CountUp(now.view, &missing);
    const int members = up + static_cast<int>(missing.size());
    const int needed = want.CountOf(members);
    if (needed > members && now.epoch > 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("waits for ", needed, " members, and there are ", members));
    }
    if (up >= needed && now.epoch > 0) return absl::OkStatus();
    if (stopping_) return absl::UnavailableError("the node was stopped");
    const Nanos left = until - std::chrono::steady_clock::now();
    if (left <= Nanos::zero()) {
      return absl::DeadlineExceededError(
          absl::StrCat(up, " of ", members, " members are up after ", absl::FormatDuration(timeout),
                       ", ", needed, " were wanted; missing: ", absl::StrJoin(missing, ", ")));
    }
    up_changed_.WaitFor(mu_, std::min(left, kLongest));
  }
}

}  // namespace weft::internal
