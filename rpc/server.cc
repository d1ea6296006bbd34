#include "weft/rpc/server.h"

#include <utility>

#include "weft/core/fork_guard.h"
#include "weft/rpc/server_core.h"

namespace weft {

using namespace internal;

Server::Server(ServerOptions options) : Server(std::move(options), nullptr) {}
Server::Server(ServerOptions options, std::shared_ptr<SessionHooks> node)
    : core_(std::make_shared<ServerCore>(std::move(options), std::move(node))) {}
Server::~Server() {
  if (core_->InForkedChild()) {
    ForkGuard::LeaveBehind(core_);
    return;
  }
  Stop();
  core_->TakeRuntime();
}
absl::Status Server::Register(Service& service, ServiceOptions options) {
  return core_->Prepare(
      [&](Dispatcher& dispatcher) { return dispatcher.Add(service, std::move(options)); });
}
absl::Status Server::Configure(const MethodInfo& method, MethodOptions options) {
  return core_->Prepare([&](Dispatcher& dispatcher) {
    return dispatcher.Configure(method.full_name, std::move(options));
  });
}
absl::Status Server::Start(std::string_view address) {
  return AddListener(address, ListenerOptions());
}
absl::Status Server::AddListener(std::string_view address, ListenerOptions options) {
  return core_->InForkedChild() ? ForkGuard::Refused("server")
                                : core_->AddListener(address, std::move(options));
}
int Server::port() const { return core_->InForkedChild() ? 0 : core_->port(); }
std::vector<std::string> Server::addresses() const {
  return core_->InForkedChild() ? std::vector<std::string>() : core_->addresses();
}
void Server::Stop() { Stop(core_->options().drain); }
void Server::Stop(absl::Duration drain) {
  if (!core_->InForkedChild()) core_->Stop(drain);
}
void Server::Wait() {
  if (!core_->InForkedChild() && core_->MayWait()) core_->Wait();
}
const Log& Server::log() const { return core_->log(); }
std::vector<MethodStatsSnapshot> Server::Stats() const { return core_->dispatcher().Stats(); }
Server::Connections Server::connections() const {
  return {core_->counts().accepted.load(std::memory_order_relaxed),
          core_->counts().open.load(std::memory_order_relaxed)};
}
int64_t Server::callback_throws() const {
  return core_->InForkedChild() ? 0 : core_->callback_throws();
}
ServerState Server::state() const { return core_->state(); }
std::vector<ConnectionInfo> Server::connection_list() const { return core_->connection_list(); }
size_t Server::input_bytes() const { return core_->counts().input->held(); }
int64_t Server::closed(CloseReason reason) const { return core_->counts().closed.Get(reason); }

}  // namespace weft
