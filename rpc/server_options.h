// The settings of a server. Every member has a default; `weft::Server server({.io_threads = 2});`
//
// Threads  value
#ifndef WEFT_RPC_SERVER_OPTIONS_H_
#define WEFT_RPC_SERVER_OPTIONS_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "weft/core/runtime.h"
#include "weft/rpc/base/compression.h"
#include "weft/rpc/call/interceptor.h"
#include "weft/rpc/overload_options.h"
#include "weft/rpc/protocol/authenticator.h"
#include "weft/rpc/protocol/connection_info.h"
#include "weft/rpc/protocol/protocol.h"
#include "weft/rpc/protocol/server_state.h"
#include "weft/rpc/protocol/session_limits.h"
#include "weft/rpc/start_options.h"

namespace weft {

class InProcessNetwork;
class TransportFactory;

// Start refuses a negative duration, and any other that a comment says so of, with
// INVALID_ARGUMENT.
struct ServerOptions {
  // Shared with others: its threads are used, and the next six members are not. Null: a private
  // one.
  std::shared_ptr<Runtime> runtime = nullptr;

  // I/O threads; connections are dealt to them in turn.
  int io_threads = 1;
  // Threads for handlers.
  int worker_threads = 4;
  // The pool grows up to this while calls wait and every worker is blocked. 0: it does not grow.
  int max_worker_threads = 0;
  // Calls that may wait for a worker; more are refused with RESOURCE_EXHAUSTED.
  size_t worker_queue = 10'000;
  // More worker pools, by name, for services and methods that must not wait for others: see
  // ServiceOptions::pool, MethodOptions::pool and `option (weft.pool)`.
  std::map<std::string, PoolOptions> pools = {};
  // The longest an I/O thread polls before it sleeps, while calls come closer than that. Zero:
  // never. Infinite: refused.
  absl::Duration spin = absl::Microseconds(50);

  // The level of its log, and where the lines go; what is unset is the runtime's, see Server::log.
  LogOptions log = {};

  // For "inproc:name", listened on in this network instead of on a socket. Null: sockets only.
  std::shared_ptr<InProcessNetwork> network = nullptr;
  // The permissions of the files of unix sockets, as chmod takes them (0660), in place before the
  // first client can connect. 0: as the process's umask leaves them (0755 with 022: only the owner
  // can connect).
  mode_t unix_socket_mode = 0;
  // Wraps every accepted connection, whose handshake then has limits.handshake_timeout, together
  // with the protocol's. Null: bytes travel as they are. weft has no factory, and a factory's parts
  // stand in weft::internal.
  std::shared_ptr<TransportFactory> transport = nullptr;
  // Takes clients without that transport, too, on the same port: a connection's first bytes tell.
  // Such a client is plain, whatever the transport would have required of it. The transport needs a
  // matcher (TransportFactory::matcher). False: each connection shakes hands.
  bool transport_optional = false;

  // Run every handler on its I/O thread, as if its method had `option (weft.inline) = true`.
  bool run_inline = false;
  // The limits for when more calls come than can be served.
  OverloadOptions overload = {};
  // The protocols that it takes, in the order in which a connection's first bytes are tried for
  // them; each is known by its first 24 bytes at most. Empty: DefaultProtocols().
  std::vector<Protocol> protocols = {};
  // The limits on what clients send.
  SessionLimits limits = {};
  // Says who a connection's client is, or, by an error, that it may not talk. Runs on threads of
  // its own (authenticator_threads), several at once; what the client sends meanwhile waits. An
  // authenticator that throws refuses the connection. Null: everybody may talk, and is called by
  // the first name that the transport has verified.
  Authenticator authenticator = nullptr;
  // Asks the authenticator for each call, too: with the token of its metadata "authorization", or
  // without one with that of its connection. A call waits for the verdict within its deadline; one
  // that is refused ends with the authenticator's code and is not executed. Nothing is remembered
  // from one call to the next. False: a connection's calls are its client's.
  bool authenticate_calls = false;
  // Threads that run it, the server's own beside those of its runtime. At least 1.
  int authenticator_threads = 2;
  // Connections and calls of the whole server, on all its listeners, that may wait for one of these
  // threads; more are refused with UNAVAILABLE, and the clients of such connections dial again
  // after their backoff. 0: none waits.
  size_t max_waiting_authentications = 1000;
  // For the authenticators of channels (ChannelOptions::authenticator); any bytes. Any client that
  // connects can read it.
  std::string auth_token = "";
  // The codec of replies that are large enough (kCompressFrom), if the client takes it and the
  // handler names none: ServerContext::set_compression.
  Compression compression = Compression::kNone;
  // The settings for calls that handlers make on ServerContext::caller(), where neither the call
  // nor its method sets them: as on a channel, without a channel's settings for connecting.
  StartOptions calls = {};
  // Around every call that comes to its handler, in this order; see rpc/call/interceptor.h.
  ServerInterceptors interceptors = {};
  // Connections at once; more are closed as they come. 0: no limit.
  int max_connections = 0;
  // A connection that has been open for this long, ± 10 %, is ended: its client is told to make
  // another, and is moved as the cluster changes. Zero or infinite: never.
  absl::Duration max_connection_age = absl::ZeroDuration();
  // How long the calls of such a connection may go on, and its client may take to confirm; then
  // they are cancelled, and it is closed. Zero: they are cancelled at once. Infinite: no limit.
  absl::Duration max_connection_age_grace = absl::Seconds(30);
  // A connection without calls for so long, at most half as long again, is closed. Zero or
  // infinite: never.
  absl::Duration idle_timeout = absl::ZeroDuration();
  // A client that was not heard of for so long is asked for a sign of life, whatever it wishes, and
  // its connection ends when SessionLimits::heartbeat_misses more intervals pass without one. At
  // least a millisecond. Zero or infinite: only as both sides' heartbeat_interval say.
  absl::Duration max_heartbeat_interval = absl::Seconds(30);
  // Bytes of input held on all connections together: unfinished messages and frames, requests until
  // they are answered, messages of streams until they are read. More than that is refused with
  // RESOURCE_EXHAUSTED. Counted in steps of 64 KiB a connection, which may always hold 128 KiB. 0:
  // no limit.
  size_t max_input_bytes = size_t{512} << 20;
  // Bytes of input held for all clients together that the authenticator has not let in yet; each
  // byte counts. A connection that would go beyond is closed. 0: no limit.
  size_t max_unknown_input_bytes = size_t{16} << 20;
  // Told of each connection: up, suspect, going away, down. On its I/O thread, in order.
  ConnectionListener on_connection = nullptr;
  // Told of kServing, kDraining and kStopped, in this order: of kDraining before any client is, so
  // that health checks turn first. On the server's first I/O thread, never inside Start or Stop;
  // must not block. Stop, called in it, begins to stop and returns. Its exceptions are caught,
  // counted and logged.
  std::function<void(ServerState)> on_state = nullptr;
  // How long one blocking write of a handler (Write of a ServerWriter or ServerStream) may wait for
  // a client that gives no credit; then its call ends with RESOURCE_EXHAUSTED. At most half of a
  // pool's threads (of a pool of one thread: that one) wait so at once; where more would, the call
  // ends with RESOURCE_EXHAUSTED at once. Handlers that do not block hold no thread, and wait as
  // long as their call lasts. Zero or infinite: no limit of time.
  absl::Duration max_write_wait = absl::Seconds(30);
  // How long Stop, without an argument, and the destructor let calls under way go on. Zero: they
  // are cancelled at once. Infinite: until they end.
  absl::Duration drain = absl::Seconds(5);
};

}  // namespace weft

#endif  // WEFT_RPC_SERVER_OPTIONS_H_
