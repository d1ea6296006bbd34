// A server: services, addresses, start, drain, stop.
//
//   Greeter greeter;                                // derives from demo::Greeter::Service
//   weft::Server server({.io_threads = 2, .worker_threads = 4});
//   server.Register(greeter);
//   absl::Status s = server.Start("0.0.0.0:7000");  // "[::]:7000", "unix:/run/x.sock", port 0
//   …
//   server.Stop();
//
// An acceptor thread deals connections to the I/O threads in turn; handlers run on the worker pool.
//
// Threads  any, once constructed; Register and Configure before Start. Stop, Wait and the
//          destructor wait: not under a lock that a handler, a callback or on_state takes. Called
//          in one of those, or on an I/O thread, Stop and the destructor begin to stop and return
//          at once, and Wait returns at once
// Owns     its sessions and, without a shared Runtime, its threads; refers to services, which
//          outlive it
// Errors   Start: a Status that names the address and errno, or the setting
// Ends     Stop announces the end, lets calls under way finish within `drain`, cancels the rest,
//          waits for their handlers and closes; idempotent. The destructor stops too. In a process
//          forked from its own it does nothing, and is left as it is
#ifndef WEFT_RPC_SERVER_H_
#define WEFT_RPC_SERVER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/rpc/base/method_stats.h"
#include "weft/rpc/call/service.h"
#include "weft/rpc/listener_options.h"
#include "weft/rpc/method_options.h"
#include "weft/rpc/protocol/close_reason.h"
#include "weft/rpc/server_options.h"

namespace weft {

namespace internal {
class ServerCore;
class SessionHooks;
}  // namespace internal

class Server {
 public:
  explicit Server(ServerOptions options = {});
  // For weft::Node, whose server it is.
  Server(ServerOptions options, std::shared_ptr<internal::SessionHooks> node);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Offers a service. An error (the name is taken, the server runs) comes out of Start too.
  absl::Status Register(Service& service, ServiceOptions options = {});
  // Says more about a method of a service that was registered: its pool, its order. Before Start;
  // the last word on a method holds.
  absl::Status Configure(const MethodInfo& method, MethodOptions options);

  // Listens: on every address of a name, for whose lookup it waits, 10 s at most. A second Start
  // adds an address.
  absl::Status Start(std::string_view address);
  // Like Start, with options for this address alone. May be called before Start, after it, or in
  // its place. INVALID_ARGUMENT: a service that is not registered, or protocols of which none
  // accepts.
  absl::Status AddListener(std::string_view address, ListenerOptions options);

  // The port of the first TCP address; 0 before Start and for unix sockets.
  int port() const;
  // All addresses, with their real ports.
  std::vector<std::string> addresses() const;

  // See above. From one of its own handlers, any I/O thread or a callback (on_state too) it begins
  // to stop and returns at once.
  void Stop();
  void Stop(absl::Duration drain);
  // Returns when the server has stopped, by whomever; at once where Stop would.
  void Wait();

  // kDraining before the first client is told: what a health check should say.
  ServerState state() const;

  // Where its lines go: level and sink may be changed while it runs.
  const Log& log() const;

  // A snapshot for each method.
  std::vector<MethodStatsSnapshot> Stats() const;
  struct Connections {
    int64_t accepted = 0, open = 0;
  };
  Connections connections() const;
  // The connections there are, each as it is now.
  std::vector<ConnectionInfo> connection_list() const;
  // Exceptions of listeners and callbacks, caught and logged; of all that share its runtime.
  int64_t callback_throws() const;
  // Bytes of input held on all connections now, short by less than 64 KiB for each: see
  // ServerOptions::max_input_bytes.
  size_t input_bytes() const;
  // Connections ended for this reason.
  int64_t closed(CloseReason reason) const;

 private:
  const std::shared_ptr<internal::ServerCore> core_;
};

}  // namespace weft

#endif  // WEFT_RPC_SERVER_H_
