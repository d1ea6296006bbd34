// A network of one process, without sockets: servers listen on names, channels dial them, and bytes
// travel through memory, with the faults that a test asks for.
//
//   auto network = weft::InProcessNetwork::Create();
//   weft::Server server({.network = network});            server.Start("inproc:store");
//   auto channel = weft::Channel::Create("inproc:store", {.network = network});
//   network->Cut(0);                                       // the first connection that was dialled
//
// Everything above the transport is the same as over sockets. Names are the network's own: two
// networks do not know of each other. Connections are numbered from 0 in the order in which they
// were dialled, by all dialers together.
//
// Where it matters who dials, each program has a face of the network of its own (For): connections
// name the hosts of both ends, and the accepting end calls its peer by the dialling host.
//
// Threads  any
// Owns     nothing of its connections but the knowledge of them
// Errors   Listen: ALREADY_EXISTS; Dial: UNAVAILABLE; each names the address
// Ends     listeners and connections may outlive it
#ifndef WEFT_CORE_IN_PROCESS_NETWORK_H_
#define WEFT_CORE_IN_PROCESS_NETWORK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "weft/core/clock.h"
#include "weft/core/fault_script.h"
#include "weft/core/in_process_pipe.h"
#include "weft/core/in_process_route.h"
#include "weft/core/in_process_tap.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/core/transport.h"

namespace weft {

struct InProcessNetworkOptions {
  // Bytes that wait in each direction of a connection, as in a socket's buffer. At least 1.
  size_t buffer_bytes = size_t{256} << 10;
  // Gives the faults of the connection of this number. Called on the dialling I/O thread, one call
  // at a time. Null: no faults.
  std::function<ConnectionFaults(uint64_t connection)> faults = nullptr;
  // Decides, and hears of everything; null: nobody does.
  std::shared_ptr<InProcessTap> tap = nullptr;
};

namespace internal {

// A name that is listened on, until this goes.
class InProcessListener {
 public:
  virtual ~InProcessListener() = default;
};

}  // namespace internal

class WEFT_ANY_THREAD InProcessNetwork final
    : public std::enable_shared_from_this<InProcessNetwork> {
 public:
  using Held = internal::InProcessPipe::Held;
  using Side = internal::InProcessPipe::Side;
  // A connection, and how the other end is called. Runs on the dialling I/O thread.
  using OnConnection =
      std::function<void(std::unique_ptr<internal::Transport> transport, std::string peer)>;

  static std::shared_ptr<InProcessNetwork> Create(InProcessNetworkOptions options = {});
  ~InProcessNetwork();
  InProcessNetwork(const InProcessNetwork&) = delete;
  InProcessNetwork& operator=(const InProcessNetwork&) = delete;

  // ---- for servers and channels: `name` is what follows "inproc:", `clock` their loops'. After
  // the listener's destructor no callback comes.
  absl::StatusOr<std::unique_ptr<internal::InProcessListener>> Listen(std::string_view name,
                                                                      const Clock& clock,
                                                                      OnConnection on_connection);
  // The same network, seen from the host of that name.
  std::shared_ptr<InProcessNetwork> For(std::string host);
  const std::string& host() const { return host_; }
  // Null: nobody answers; whoever dials may try again.
  absl::StatusOr<std::unique_ptr<internal::Transport>> Dial(std::string_view name,
                                                            const Clock& clock);

  // ---- for tests. False: there is no such connection, or it is over.
  // The numbers of the open connections, oldest first.
  std::vector<uint64_t> connections() const;
  // The same, with their hosts.
  std::vector<InProcessRoute> routes() const;
  // How many were ever dialled, which is the number of the next.
  uint64_t dialled() const;
  // Resets it now: both ends see ECONNRESET, and what was under way is lost.
  bool Cut(uint64_t connection, Held held = Held::kHearsNow);
  // Resets one end alone: the other hears nothing, now or later, and what it writes vanishes.
  bool CutOneEnd(uint64_t connection, Side hears);
  // Nothing arrives any more at either end, and neither is told.
  bool Silence(uint64_t connection);
  // Other faults from here on; positions count from what has been written until now. A direction
  // that has fallen silent stays so: no network loses some bytes and goes on.
  bool Change(uint64_t connection, const ConnectionFaults& faults);
  // Nothing arrives on it, in both directions, until it is released; then everything does. So one
  // connection's bytes may overtake another's, or a cable be pulled and plugged in again.
  bool Hold(uint64_t connection);
  bool Release(uint64_t connection);
  // The same in one direction: of what `writer` writes.
  bool HoldOneWay(uint64_t connection, Side writer, bool held);

 private:
  class Listener;
  // Shared by the network and a listener: the listener may go while a connection is handed over.
  struct Ear {
    internal::Mutex mu;
    OnConnection on_connection WEFT_GUARDED_BY(mu);  // null: gone
    const Clock* clock = nullptr;
    std::string host;
  };
  // The state that all faces of a network share.
  struct Shared {
    InProcessNetworkOptions options;
    internal::Mutex faults_mu;  // one call of options.faults at a time
    internal::Mutex mu;
    absl::btree_map<std::string, std::shared_ptr<Ear>> ears WEFT_GUARDED_BY(mu);
    absl::btree_map<uint64_t, std::weak_ptr<internal::InProcessPipe>> links WEFT_GUARDED_BY(mu);
    uint64_t dialled WEFT_GUARDED_BY(mu) = 0;
  };

  InProcessNetwork(std::shared_ptr<Shared> shared, std::string host)
      : shared_(std::move(shared)), host_(std::move(host)) {}
  std::shared_ptr<internal::InProcessPipe> Find(uint64_t connection) const;

  const std::shared_ptr<Shared> shared_;
  const std::string host_;
};

}  // namespace weft

#endif  // WEFT_CORE_IN_PROCESS_NETWORK_H_
