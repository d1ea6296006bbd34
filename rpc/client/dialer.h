// A channel's way to a connection: connects, and shakes hands where the channel has a transport
// factory, both within one limit.
//
// Threads  loop-only
// Owns     its connector and its handshake; the transport until it hands it over
// Errors   Connector's, and TransportHandshake's, which name peer, phase, cause and time
// Ends     each Start calls back exactly once, unless it was cancelled or this was destroyed, which
//          may be done inside the callback
#ifndef WEFT_RPC_CLIENT_DIALER_H_
#define WEFT_RPC_CLIENT_DIALER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "weft/core/clock.h"
#include "weft/core/connector.h"
#include "weft/core/event_loop.h"
#include "weft/core/in_process_network.h"
#include "weft/core/socket_address.h"
#include "weft/core/thread_contract.h"
#include "weft/core/transport.h"
#include "weft/core/transport_factory.h"
#include "weft/core/transport_handshake.h"

namespace weft::internal {

struct DialerOptions {
  // For in-process addresses; null: there are none.
  std::shared_ptr<InProcessNetwork> network = nullptr;
  // Null: bytes travel as they are.
  std::shared_ptr<TransportFactory> transport = nullptr;
  // The ALPN names to offer in the handshake, the preferred one first.
  std::vector<std::string> alpn = {};
  // See Transport::SetLostAfter.
  Nanos lost_after = Nanos::zero();
};

class Dialer final {
 public:
  using OnConnected = Connector::OnConnected;

  Dialer(EventLoop& loop, DialerOptions options);
  Dialer(const Dialer&) = delete;
  Dialer& operator=(const Dialer&) = delete;

  // See Connector::Start and Connector::Cancel.
  void Start(const HostPort& target, const std::string& target_text, Nanos limit,
             OnConnected done) WEFT_LOOP_ONLY;
  void Cancel() WEFT_LOOP_ONLY;
  void AvoidLast() WEFT_LOOP_ONLY { connector_.AvoidLast(); }
  bool remembers() const WEFT_LOOP_ONLY { return connector_.remembers(); }

 private:
  void ShakeHands(absl::StatusOr<std::unique_ptr<Transport>> plain, const std::string& host,
                  std::string target_text, MonoTime deadline, OnConnected done) WEFT_LOOP_ONLY;

  EventLoop& loop_;
  const DialerOptions options_;
  Connector connector_ WEFT_LOOP_OWNED;
  const std::unique_ptr<TransportHandshake> handshake_;  // null: no transport has one
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_DIALER_H_
