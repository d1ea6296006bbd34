// A network of one process, without sockets: servers listen on names, channels dial them, and bytes
// travel through memory, with the faults that a test asks for.
//
//   auto network = weft::InProcessNetwork::Create();
//   weft::Server server({.network = network});            server.Start("inproc:store");
//   auto channel = weft::Channel::Create("inproc:store", {.network = network});
//   network->Cut(0);                                       // the first connection that was dialled
//
// Everything above the transport is what runs over sockets. Names are the network's own: two
// networks do not know of each other. Connections are numbered from 0 in the order in which they
// were dialled, by whomever.
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
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "weft/core/clock.h"
#include "weft/core/fault_script.h"
#include "weft/core/in_process_pipe.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/core/transport.h"

namespace weft {

struct InProcessNetworkOptions {
  // Bytes that wait in each direction of a connection, as in a socket's buffer. At least 1.
  size_t buffer_bytes = size_t{256} << 10;
  // What goes wrong with the connection of this number. Runs on the dialling I/O thread, one at a
  // time. Null: nothing goes wrong.
  std::function<ConnectionFaults(uint64_t connection)> faults = nullptr;
};

// A name that is listened on, until this goes.
class InProcessListener {
 public:
  virtual ~InProcessListener() = default;
};

class ANY_THREAD InProcessNetwork : public std::enable_shared_from_this<InProcessNetwork> {
 public:
  // A connection, and how the other end is called. Runs on the dialling I/O thread.
  using OnConnection = std::function<void(std::unique_ptr<Transport> transport, std::string peer)>;

  static std::shared_ptr<InProcessNetwork> Create(InProcessNetworkOptions options = {});
  ~InProcessNetwork();
  InProcessNetwork(const InProcessNetwork&) = delete;
  InProcessNetwork& operator=(const InProcessNetwork&) = delete;

  // ---- for servers and channels: `name` is what follows "inproc:", `clock` their loops'. After
  // the listener's destructor no callback comes.
  absl::StatusOr<std::unique_ptr<InProcessListener>> Listen(std::string_view name,
                                                            const Clock& clock,
                                                            OnConnection on_connection)
      WEFT_EXCLUDES(mu_);
  absl::StatusOr<std::unique_ptr<Transport>> Dial(std::string_view name, const Clock& clock)
      WEFT_EXCLUDES(mu_);

  // ---- for tests. False: there is no such connection, or it is over.
  // Those that are open, oldest first.
  std::vector<uint64_t> connections() const WEFT_EXCLUDES(mu_);
  // How many were ever dialled, which is the number of the next.
  uint64_t dialled() const WEFT_EXCLUDES(mu_);
  // Resets it now: both ends see ECONNRESET, and what was under way is lost.
  bool Cut(uint64_t connection) WEFT_EXCLUDES(mu_);
  // Other faults from here on; positions count from what has been written until now. A direction
  // that has fallen silent stays so: no network loses some bytes and goes on.
  bool Change(uint64_t connection, const ConnectionFaults& faults) WEFT_EXCLUDES(mu_);
  // Nothing arrives on it, in both directions, until it is released; then everything does. So one
  // connection's bytes may overtake another's, or a cable be pulled and plugged in again.
  bool Hold(uint64_t connection) WEFT_EXCLUDES(mu_);
  bool Release(uint64_t connection) WEFT_EXCLUDES(mu_);

 private:
  class Listener;
  // What the network and a listener share: the listener may go while a connection is handed over.
  struct Ear {
    Mutex mu;
    OnConnection on_connection WEFT_GUARDED_BY(mu);  // null: gone
    const Clock* clock = nullptr;
  };

  explicit InProcessNetwork(InProcessNetworkOptions options);
  std::shared_ptr<InProcessPipe> Find(uint64_t connection) const WEFT_EXCLUDES(mu_);

  const InProcessNetworkOptions options_;
  Mutex faults_mu_;  // one call of options_.faults at a time
  mutable Mutex mu_;
  absl::btree_map<std::string, std::shared_ptr<Ear>> ears_ WEFT_GUARDED_BY(mu_);
  absl::btree_map<uint64_t, std::weak_ptr<InProcessPipe>> links_ WEFT_GUARDED_BY(mu_);
  uint64_t dialled_ WEFT_GUARDED_BY(mu_) = 0;
};

}  // namespace weft

#endif  // WEFT_CORE_IN_PROCESS_NETWORK_H_
