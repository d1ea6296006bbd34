// Accepts on a thread of its own and deals the sockets out, in turn, by a callback.
//
// TCP over IPv4 and IPv6 and unix sockets. When descriptors or memory run out (EMFILE, ENFILE,
// ENOBUFS, ENOMEM) it frees a descriptor kept in reserve to accept and close one waiting
// connection, so that the client sees an end, and then pauses, 10 ms doubling to 1 s, instead of
// spinning. At most kAcceptAtOnce connections are taken in one turn, so that several listeners
// share the thread.
//
// Threads  any but its own: AddListener, AddListeners, LookUp, Stop. Any: counts. The callback runs
//          on the acceptor's thread
// Owns     its loop and thread, the listening sockets, the reserve descriptor
// Errors   AddListener, AddListeners: a Status that names the address and errno. LookUp: as
//          Resolver's
// Ends     Stop closes the listeners and joins; no callback follows it. Unix socket files are
//          removed, where they are still those that were bound
#ifndef WEFT_CORE_ACCEPTOR_H_
#define WEFT_CORE_ACCEPTOR_H_

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "weft/core/event_loop.h"
#include "weft/core/idle_trimmer.h"
#include "weft/core/mutex.h"
#include "weft/core/resolver_options.h"
#include "weft/core/socket.h"
#include "weft/core/socket_address.h"

namespace weft::internal {

struct AcceptorOptions {
  ListenOptions listen;
  ResolverOptions resolver;
  Log log;
};

class Acceptor {
 public:
  static constexpr int kAcceptAtOnce = 64;
  // The longest that LookUp waits.
  static constexpr Nanos kLookupLimit = std::chrono::seconds(10);
  // A connection, and the address it came from.
  using OnAccept = std::function<void(Socket socket, const SocketAddress& peer)>;

  static absl::StatusOr<std::unique_ptr<Acceptor>> Create(AcceptorOptions options,
                                                          OnAccept on_accept);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Listens from now on; says on which address (the port, where 0 was asked for).
  WEFT_ANY_THREAD absl::StatusOr<SocketAddress> AddListener(const SocketAddress& address);
  // The same on every address of a name, all with one port. Addresses that are not this machine's
  // are left out with a line in the log, unless they are all.
  // `on_accept`: gets the connections of these; null: Create's does.
  WEFT_ANY_THREAD absl::StatusOr<std::vector<SocketAddress>> AddListeners(
      const std::vector<SocketAddress>& addresses, OnAccept on_accept = nullptr);
  // Looks a name up, as clients do; a numeric or unix address is itself. Waits for the answer.
  WEFT_ANY_THREAD absl::StatusOr<std::vector<SocketAddress>> LookUp(const HostPort& host_port);
  void Stop();

  struct Counts {
    int64_t accepted = 0, out_of_descriptors = 0;
  };
  WEFT_ANY_THREAD Counts counts() const;

 private:
  class Listener;
  class NameLookup;

  Acceptor(AcceptorOptions options, OnAccept on_accept);
  void RefuseOne(int listen_fd);

  const AcceptorOptions options_;
  const OnAccept on_accept_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<IdleTrimmer> trimmer_;  // the loop's own
  std::thread thread_;
  Mutex stop_mu_;
  std::vector<std::unique_ptr<Listener>> listeners_ WEFT_LOOP_OWNED;
  std::vector<std::unique_ptr<NameLookup>> lookups_ WEFT_LOOP_OWNED;
  Socket reserve_ WEFT_LOOP_OWNED;
  LogLimiter limiter_{5};
  std::atomic<int64_t> accepted_{0}, out_of_descriptors_{0};
};

}  // namespace weft::internal

#endif  // WEFT_CORE_ACCEPTOR_H_
