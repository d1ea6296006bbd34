// One non-blocking connect: a name or address to a connected transport, within a deadline.
//
// Resolves, then tries the addresses in order until one connects; the deadline covers all of it.
// An in-process address is dialled on the network it was given.
//
// Threads  loop-only
// Owns     the transport until it hands it over
// Errors   a Status that names peer, phase (resolve, connect), errno and the time it took
// Ends     each Start calls back exactly once, unless it was cancelled or the connector was
// destroyed
#ifndef WEFT_CORE_CONNECTOR_H_
#define WEFT_CORE_CONNECTOR_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "weft/core/event_loop.h"
#include "weft/core/fd_watch.h"
#include "weft/core/in_process_network.h"
#include "weft/core/resolver.h"
#include "weft/core/socket.h"
#include "weft/core/timer.h"
#include "weft/core/transport.h"

namespace weft {

class Connector final : private WatchEvents {
 public:
  using OnConnected = std::function<void(absl::StatusOr<std::unique_ptr<Transport>>)>;

  // `network` is for in-process addresses; null: there are none.
  explicit Connector(EventLoop& loop, std::shared_ptr<InProcessNetwork> network = nullptr);
  ~Connector();
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  // One at a time: a new one cancels the last. Never calls back inside Start.
  void Start(const HostPort& target, const std::string& target_text, Nanos limit,
             OnConnected done) LOOP_ONLY;
  void Cancel() LOOP_ONLY;

 private:
  void OnReadable() override {}
  void OnWritable() override;
  void TryNext() LOOP_ONLY;
  void Finish(absl::StatusOr<std::unique_ptr<Transport>> result) LOOP_ONLY;
  void FinishWith(Socket socket) LOOP_ONLY;
  std::string After() LOOP_ONLY;

  EventLoop& loop_;
  const std::shared_ptr<InProcessNetwork> network_;
  Resolver resolver_ LOOP_OWNED;
  FdWatch watch_ LOOP_OWNED;
  Timer deadline_ LOOP_OWNED;
  Timer begin_ LOOP_OWNED;
  HostPort target_ LOOP_OWNED;
  std::string target_text_ LOOP_OWNED;
  std::string phase_ LOOP_OWNED;
  OnConnected done_ LOOP_OWNED;
  MonoTime started_ LOOP_OWNED{};
  std::vector<SocketAddress> addresses_ LOOP_OWNED;
  size_t next_ LOOP_OWNED = 0;
  Socket socket_ LOOP_OWNED;
  absl::Status last_error_ LOOP_OWNED;
};

}  // namespace weft

#endif  // WEFT_CORE_CONNECTOR_H_
