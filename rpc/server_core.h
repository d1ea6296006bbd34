// The whole of a server behind weft::Server: its services, listeners, loops and states.
//
// Server holds a share, and so does every thread that still stops it: this may outlive the Server.
//
// Threads  any
// Owns     its listeners, its part of each loop, and the runtime or a share of it
// Errors   as Server's
// Ends     Stop: when all loops are drained, Wait returns
#ifndef WEFT_RPC_SERVER_CORE_H_
#define WEFT_RPC_SERVER_CORE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/core/acceptor.h"
#include "weft/core/callback_faults.h"
#include "weft/core/fork_guard.h"
#include "weft/core/in_process_network.h"
#include "weft/core/log.h"
#include "weft/core/loop_group.h"
#include "weft/core/mutex.h"
#include "weft/core/runtime.h"
#include "weft/core/socket_address.h"
#include "weft/core/step_set.h"
#include "weft/core/transport.h"
#include "weft/rpc/listener_options.h"
#include "weft/rpc/protocol/authentication_queue.h"
#include "weft/rpc/protocol/connection_info.h"
#include "weft/rpc/protocol/server_state.h"
#include "weft/rpc/server/dispatcher.h"
#include "weft/rpc/server/listener.h"
#include "weft/rpc/server/server_counts.h"
#include "weft/rpc/server/server_loop.h"
#include "weft/rpc/server/session_hooks.h"
#include "weft/rpc/server_options.h"

namespace weft::internal {

class ServerCore : public std::enable_shared_from_this<ServerCore> {
 public:
  // `node`: the node that it belongs to; null: it belongs to none.
  ServerCore(ServerOptions options, std::shared_ptr<SessionHooks> node);

  // Runs a step that must come before the start. Its error keeps the server from starting.
  template <typename Step>
  absl::Status Prepare(Step step) WEFT_EXCLUDES(mu_);
  absl::Status AddListener(std::string_view text, ListenerOptions options) WEFT_EXCLUDES(mu_);
  void Stop(absl::Duration drain) WEFT_EXCLUDES(mu_);
  void Wait() WEFT_EXCLUDES(mu_);
  // The steps of its runtime. Null: the runtime has threads, or there is none.
  std::shared_ptr<StepSet> steps() WEFT_EXCLUDES(mu_);
  // True if this thread is neither one of the server's nor inside a callback.
  bool MayWait() WEFT_EXCLUDES(mu_);
  std::vector<std::string> addresses() const WEFT_EXCLUDES(mu_);
  int port() const WEFT_EXCLUDES(mu_);
  int64_t callback_throws() const WEFT_EXCLUDES(mu_);

  // For the destructor of Server: a thread of the runtime must not be the one that ends the
  // runtime.
  std::shared_ptr<Runtime> TakeRuntime() WEFT_EXCLUDES(mu_) {
    if (!MayWait()) return nullptr;
    MutexLock lock(mu_);
    acceptor_.reset();
    return std::move(runtime_);
  }

  // In a process forked from the server's.
  bool InForkedChild() const { return home_.InForkedChild(); }
  Dispatcher& dispatcher() { return *dispatcher_; }
  const ServerCounts& counts() const { return *counts_; }
  ServerState state() const { return state_.load(); }
  std::vector<ConnectionInfo> connection_list() const {
    return counts_->connections.List(
        (loops_ != nullptr ? loops_->At(0).loop->clock() : Clock::System()).Now());
  }
  const ServerOptions& options() const { return *options_; }
  const Log& log() const { return log_; }

 private:
  // Its threads have been started, and Stop has to end them.
  bool started() const WEFT_REQUIRES(mu_) { return loops_left_ > 0; }
  void set_state(ServerState to) WEFT_REQUIRES(mu_);
  absl::Status StartThreads() WEFT_REQUIRES(mu_);
  void MakeParts(std::unique_ptr<const Listener> dialled) WEFT_REQUIRES(mu_);
  absl::Status BeReady() WEFT_REQUIRES(mu_);
  absl::Status Listen(std::string_view text, ListenerOptions options) WEFT_EXCLUDES(mu_);
  // Enters the state, if that is a step onward, tells on_state, and then calls `then`. The telling
  // comes later, on the first loop.
  void Turn(ServerState state, std::function<void()> then = nullptr) WEFT_EXCLUDES(turn_mu_, mu_);
  // Tells the clients, and lets their calls go on for `drain`.
  void Drain(absl::Duration drain) WEFT_EXCLUDES(mu_);
  absl::Status ListenInProcess(const std::string& name, std::unique_ptr<const Listener> listener)
      WEFT_REQUIRES(mu_);
  void Deal(const Listener& listener, std::unique_ptr<Transport> transport, std::string peer);
  void LoopDrained(size_t index);
  bool OnOwnThread() WEFT_EXCLUDES(mu_);

  const ForkGuard home_;
  const std::shared_ptr<SessionHooks> node_;  // null: it belongs to none
  const std::shared_ptr<const ServerOptions> options_;
  const std::shared_ptr<Dispatcher> dispatcher_;
  const std::shared_ptr<ServerCounts> counts_;
  const std::shared_ptr<AuthenticationPlaces> places_;
  const Log log_;

  mutable Mutex mu_;
  CondVar over_changed_;
  std::atomic<ServerState> state_{ServerState::kNew};  // changed under mu_
  bool over_ WEFT_GUARDED_BY(mu_) = false;             // kStopped, and on_state has been told so
  absl::Status error_ WEFT_GUARDED_BY(mu_);
  std::shared_ptr<Runtime> runtime_ WEFT_GUARDED_BY(mu_);
  std::shared_ptr<CallbackFaults> faults_ WEFT_GUARDED_BY(mu_);  // the runtime's
  std::shared_ptr<Acceptor> acceptor_ WEFT_GUARDED_BY(mu_);
  std::vector<SocketAddress> addresses_ WEFT_GUARDED_BY(mu_);
  std::vector<std::string> names_ WEFT_GUARDED_BY(mu_);  // of the listeners
  std::vector<std::unique_ptr<InProcessListener>> in_process_ WEFT_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<const Listener>> listeners_ WEFT_GUARDED_BY(mu_);  // until the end
  size_t loops_left_ WEFT_GUARDED_BY(mu_) = 0;  // that have not been drained

  // Made before the acceptor, constant while it runs; each touched by its loop only.
  std::shared_ptr<AuthenticationQueue> authentications_;
  LoopGroup* loops_ = nullptr;
  std::vector<std::unique_ptr<ServerLoop>> parts_;
  std::atomic<size_t> next_{0};
  Mutex turn_mu_;  // states are told in the order of their turns
};

template <typename Step>
absl::Status ServerCore::Prepare(Step step) {
  if (home_.InForkedChild()) return ForkGuard::Refused("server");
  MutexLock lock(mu_);
  // A step after the start is refused, and changes nothing.
  if (started() || state() != ServerState::kNew) {
    return absl::FailedPreconditionError(
        "services are registered and configured before the server starts");
  }
  absl::Status s = step(*dispatcher_);
  if (error_.ok()) error_ = s;
  return s;
}

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_CORE_H_
