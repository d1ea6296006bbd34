#include "weft/rpc/server_core.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "weft/core/absl_view.h"
#include "weft/core/callback_queue.h"
#include "weft/core/check.h"
#include "weft/core/plain_transport.h"
#include "weft/core/printable.h"
#include "weft/core/step_finisher.h"
#include "weft/rpc/base/protobuf_log.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/client/caller.h"
#include "weft/rpc/default_protocols.h"
#include "weft/rpc/server/server_durations.h"

namespace weft::internal {
namespace {

// The name of the callback in the log.
constexpr char kOnState[] = "a listener of a server's state";

ServerOptions WithProtocols(ServerOptions options) {
  if (options.protocols.empty()) {
    const std::span<const Protocol> protocols = DefaultProtocols();
    options.protocols.assign(protocols.begin(), protocols.end());
  }
  return options;
}

Log LogOf(const ServerOptions& options) {
  if (options.runtime != nullptr) return options.runtime->log().Below(options.log);
  return Log(options.log.sink != nullptr ? options.log.sink : StderrLogSink(),
             options.log.level.value_or(RuntimeOptions().log_level));
}

}  // namespace

ServerCore::ServerCore(ServerOptions options, std::shared_ptr<SessionHooks> node)
    : node_(std::move(node)),
      options_(std::make_shared<const ServerOptions>(WithProtocols(std::move(options)))),
      dispatcher_(std::make_shared<Dispatcher>(options_->run_inline, options_->interceptors,
                                               options_->overload, kServerServes,
                                               ToNanos(options_->max_write_wait))),
      counts_(std::make_shared<ServerCounts>(*options_)),
      places_(std::make_shared<AuthenticationPlaces>(options_->max_waiting_authentications)),
      log_(LogOf(*options_)) {
  dispatcher_->admission().SetConnections(
      std::shared_ptr<const std::atomic<int64_t>>(counts_, &counts_->open));
}

// A start that fails leaves nothing behind, so it may be tried again: everything is made in locals,
// and kept only when nothing can fail any more.
absl::Status ServerCore::StartThreads() {
  ProtobufLog::Install();
  std::shared_ptr<Runtime> runtime = options_->runtime;
  if (runtime == nullptr) {
    RuntimeOptions own;
    own.io_threads = options_->io_threads;
    own.worker_threads = options_->worker_threads;
    own.max_worker_threads = options_->max_worker_threads;
    own.worker_queue = options_->worker_queue;
    own.pools = options_->pools;
    own.spin = options_->spin;
    absl::StatusOr<std::shared_ptr<Runtime>> made = Runtime::Create(std::move(own));
    if (!made.ok()) return made.status();
    runtime = *std::move(made);
    runtime->log().Follow(log_);
  } else if (runtime->InForkedChild()) {
    return ForkGuard::Refused("runtime");  // before any thread is started beside it
  }
  std::unique_ptr<Acceptor> acceptor;
  if (runtime->steps() == nullptr) {  // else it has no sockets
    AcceptorOptions own;
    own.log = log_;
    own.listen.unix_mode = options_->unix_socket_mode;
    absl::StatusOr<std::unique_ptr<Acceptor>> made =
        Acceptor::Create(std::move(own), /*on_accept=*/nullptr);
    if (!made.ok()) return made.status();
    acceptor = *std::move(made);
  }
  std::shared_ptr<AuthenticationQueue> authentications;
  if (options_->authenticator != nullptr) {
    absl::StatusOr<std::unique_ptr<AuthenticationQueue>> queue = AuthenticationQueue::Create(
        options_->authenticator,
        {.threads = options_->authenticator_threads, .places = places_, .steps = runtime->steps()},
        log_, runtime->clock());
    if (!queue.ok()) return queue.status();
    authentications = *std::move(queue);
  }
  std::unique_ptr<const Listener> dialled;
  if (node_ != nullptr) {
    absl::StatusOr<std::unique_ptr<const Listener>> listener =
        Listener::Make({}, *options_, *dispatcher_, authentications, places_, *runtime, log_);
    if (!listener.ok()) return listener.status();
    dialled = *std::move(listener);
  }
  if (absl::Status s = dispatcher_->Serve(*runtime); !s.ok()) {
    // An error of the services is final; a lack of the machine may be over at the next Start.
    if (!absl::IsResourceExhausted(s)) error_ = s;
    return s;
  }
  runtime_ = std::move(runtime);
  authentications_ = std::move(authentications);
  loops_ = &runtime_->loops();
  faults_ = loops_->At(0).loop->faults();
  MakeParts(std::move(dialled));
  acceptor_ = std::move(acceptor);
  loops_left_ = parts_.size();
  return absl::OkStatus();
}

// `dialled`: the rules for connections that the node makes; null: there is no node.
void ServerCore::MakeParts(std::unique_ptr<const Listener> dialled) {
  const auto calls =
      std::make_shared<const StartConfig>(options_->calls, options_->limits, "server");
  for (size_t i = 0; i < loops_->size(); ++i) {
    IoThread& io = loops_->At(i);
    CallerMaker callers = Caller::Maker(io, calls);
    if (node_ != nullptr) {
      callers = [node = node_, own = std::move(callers)](const std::shared_ptr<CallLink>& link) {
        std::unique_ptr<CallTarget> peer = node->CallerFor(link);
        return peer != nullptr ? std::move(peer) : own(link);
      };
    }
    parts_.push_back(std::make_unique<ServerLoop>(io, dispatcher_, options_, counts_, log_,
                                                  std::move(callers),
                                                  NodeSide{node_, i, dialled.get()}));
    if (node_ != nullptr) node_->OnLoop(i, io, *parts_.back());
  }
  if (dialled != nullptr) listeners_.push_back(std::move(dialled));
}

absl::Status ServerCore::Listen(std::string_view text, ListenerOptions options) {
  absl::StatusOr<HostPort> host_port = HostPort::Parse(text);
  if (!host_port.ok()) return host_port.status();
  const bool in_process = host_port->is_in_process() && options_->network != nullptr;
  if (!in_process) {
    // Check the address before any thread is started for it.
    const absl::Status address = SocketAddress::From(*host_port).status();
    if (!address.ok() && !absl::IsNotFound(address)) return address;
  }
  if (absl::Status s = CheckDurations(*options_); !s.ok()) return s;
  if (options_->unix_socket_mode > 0777) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "unix_socket_mode: expected 0 to 0777, got %#o", options_->unix_socket_mode));
  }
  std::shared_ptr<Acceptor> acceptor;
  std::unique_ptr<const Listener> listener;
  {
    MutexLock lock(mu_);
    if (absl::Status s = BeReady(); !s.ok()) return s;
    absl::StatusOr<std::unique_ptr<const Listener>> made = Listener::Make(
        std::move(options), *options_, *dispatcher_, authentications_, places_, *runtime_, log_);
    if (!made.ok()) return made.status();
    listener = *std::move(made);
    if (in_process) return ListenInProcess(host_port->in_process_name, std::move(listener));
    acceptor = acceptor_;
  }
  if (acceptor == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("listen on \"", AbslView(text),
                     "\": the server's runtime is stepped and has no sockets; listen on an "
                     "in-process name (inproc:…)"));
  }
  // Without the mutex: a name server may take its time, and Stop must not wait for it.
  absl::StatusOr<std::vector<SocketAddress>> addresses = acceptor->LookUp(*host_port);
  if (!addresses.ok()) {
    return Annotate(addresses.status(), absl::StrCat("listen on \"", AbslView(text), "\""));
  }
  MutexLock lock(mu_);
  if (absl::Status s = BeReady(); !s.ok()) return s;
  absl::StatusOr<std::vector<SocketAddress>> bound = acceptor_->AddListeners(
      *addresses, [this, &taken = *listener](Socket socket, const SocketAddress& peer) {
        // A unix socket's name is the peer's choice.
        Deal(taken, std::make_unique<PlainTransport>(std::move(socket)),
             Printable::Text(peer.ToString()));
      });
  if (!bound.ok()) return bound.status();
  listeners_.push_back(std::move(listener));
  addresses_.insert(addresses_.end(), bound->begin(), bound->end());
  return absl::OkStatus();
}

// Makes sure that the threads run and that the server is not being stopped.
absl::Status ServerCore::BeReady() {
  if (!error_.ok()) return error_;
  if (state() >= ServerState::kDraining) {
    return absl::FailedPreconditionError("the server has been stopped");
  }
  return started() ? absl::OkStatus() : StartThreads();
}

void ServerCore::set_state(ServerState to) {
  WEFT_DCHECK(MayGo(state(), to));
  state_.store(to);
}

absl::Status ServerCore::AddListener(std::string_view text, ListenerOptions options) {
  const absl::Status started = Listen(text, std::move(options));
  if (started.ok()) Turn(ServerState::kServing);
  return started;
}

// States only go onward: a Start that ends while another thread stops the server tells nothing.
// turn_mu_ is held over the change and the post, so that states are told in their order.
void ServerCore::Turn(ServerState state, std::function<void()> then) {
  EventLoop& loop = *loops_->At(0).loop;
  MutexLock turn(turn_mu_);
  {
    MutexLock lock(mu_);
    if (!MayGo(state_.load(), state)) return;
    set_state(state);
  }
  loop.Post([self = shared_from_this(), &loop, state, then = std::move(then)](TaskFate) mutable {
    CallbackQueue::Call(&loop, kOnState, [self, &loop, state, then = std::move(then)]() mutable {
      const auto& told = self->options_->on_state;
      if (told != nullptr) GuardedCall(kOnState, [&] { told(state); });
      // Later, not inside the listener: `then` is the server's own work, and no callback.
      if (then != nullptr) loop.Post([self, then = std::move(then)](TaskFate) { then(); });
    });
  });
}

absl::Status ServerCore::ListenInProcess(const std::string& name,
                                         std::unique_ptr<const Listener> listener) {
  absl::StatusOr<std::unique_ptr<InProcessListener>> bound = options_->network->Listen(
      name, runtime_->clock(),
      [this, &taken = *listener](std::unique_ptr<Transport> transport, std::string peer) {
        Deal(taken, std::move(transport), std::move(peer));
      });
  if (!bound.ok()) return bound.status();
  listeners_.push_back(std::move(listener));
  in_process_.push_back(*std::move(bound));
  names_.push_back(absl::StrCat("inproc:", name));
  return absl::OkStatus();
}

// Runs on the acceptor's thread, or on a dialer's. Loops take connections in turn.
void ServerCore::Deal(const Listener& listener, std::unique_ptr<Transport> transport,
                      std::string peer) {
  const size_t index = next_.fetch_add(1, std::memory_order_relaxed) % parts_.size();
  EventLoop& loop = *loops_->At(index).loop;
  loop.Post([this, self = shared_from_this(), index, &loop, &listener, t = std::move(transport),
             name = std::move(peer)](TaskFate fate) mutable {
    if (fate == TaskFate::kCancelled) return;
    loop.AssertInLoop();
    if (parts_[index] != nullptr) parts_[index]->Adopt(listener, std::move(t), std::move(name));
  });
}

bool ServerCore::OnOwnThread() {
  if (loops_ == nullptr) return false;
  if (loops_->InLoop() || dispatcher_->InPool()) return true;
  MutexLock lock(mu_);
  return std::ranges::any_of(listeners_, [](const auto& listener) {
    return listener->authentications != nullptr && listener->authentications->InPool();
  });
}

bool ServerCore::MayWait() {
  return EventLoop::Current() == nullptr && !CallbackQueue::InCallback() && !OnOwnThread();
}

void ServerCore::Stop(absl::Duration drain) {
  bool has_threads;
  {
    MutexLock lock(mu_);
    has_threads = started();
    if (!has_threads && state() == ServerState::kNew) {
      set_state(ServerState::kStopped);
      over_ = true;
    }
  }
  if (has_threads) Turn(ServerState::kDraining, [this, drain] { Drain(drain); });
  if (MayWait()) {
    Wait();
  } else if (StepFinisher* const finisher = StepFinisher::Of(steps())) {
    finisher->RunUntil([this] {
      MutexLock lock(mu_);
      return over_;
    });
  }
}

std::shared_ptr<StepSet> ServerCore::steps() {
  MutexLock lock(mu_);
  return runtime_ != nullptr ? runtime_->steps() : nullptr;
}

void ServerCore::Drain(absl::Duration drain) {
  std::shared_ptr<Acceptor> acceptor;
  std::vector<std::unique_ptr<InProcessListener>> listeners;
  {
    MutexLock lock(mu_);
    acceptor = acceptor_;
    listeners = std::move(in_process_);
  }
  listeners.clear();  // waits for a connection that is being dealt, so without the mutex
  if (acceptor != nullptr) acceptor->Stop();
  const MonoTime deadline = SaturatingAdd(loops_->At(0).loop->clock().Now(), ToNanos(drain));
  for (size_t i = 0; i < parts_.size(); ++i) {
    EventLoop& loop = *loops_->At(i).loop;
    loop.Post([this, self = shared_from_this(), i, deadline, &loop](TaskFate fate) {
      if (fate == TaskFate::kCancelled) return;
      loop.AssertInLoop();
      parts_[i]->Drain(deadline, [this, self, i, &loop] {
        // Later: this runs inside the ServerLoop, which LoopDrained destroys.
        loop.Post([this, self, i](TaskFate) { LoopDrained(i); });
      });
    });
  }
}

void ServerCore::LoopDrained(size_t index) {
  if (node_ != nullptr) {
    loops_->At(index).loop->AssertInLoop();
    node_->OnLoopGone(index);
  }
  parts_[index].reset();
  {
    MutexLock lock(mu_);
    if (--loops_left_ > 0) return;
  }
  Turn(ServerState::kStopped, [this] {
    MutexLock lock(mu_);
    over_ = true;
    over_changed_.NotifyAll();
  });
}

void ServerCore::Wait() {
  MutexLock lock(mu_);
  while (!over_) over_changed_.Wait(mu_);
}

std::vector<std::string> ServerCore::addresses() const {
  MutexLock lock(mu_);
  std::vector<std::string> texts;
  for (const SocketAddress& a : addresses_) texts.push_back(a.ToString());
  texts.insert(texts.end(), names_.begin(), names_.end());
  return texts;
}

int64_t ServerCore::callback_throws() const {
  MutexLock lock(mu_);
  return faults_ != nullptr ? faults_->count() : 0;
}

int ServerCore::port() const {
  MutexLock lock(mu_);
  for (const SocketAddress& a : addresses_) {
    if (!a.is_unix()) return a.port();
  }
  return 0;
}

}  // namespace weft::internal
