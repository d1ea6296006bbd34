// The settings of an EndpointConnection: where it dials, how, and what it speaks there.
//
// Threads  value
#ifndef WEFT_RPC_CLIENT_ENDPOINT_OPTIONS_H_
#define WEFT_RPC_CLIENT_ENDPOINT_OPTIONS_H_

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "weft/core/clock.h"
#include "weft/core/in_process_network.h"
#include "weft/core/socket_address.h"
#include "weft/core/transport_factory.h"
#include "weft/rpc/channel_options.h"
#include "weft/rpc/client/inbound_service.h"
#include "weft/rpc/protocol/connection_info.h"
#include "weft/rpc/protocol/hello_facts.h"
#include "weft/rpc/protocol/protocol.h"
#include "weft/rpc/protocol/session_limits.h"

namespace weft::internal {

struct EndpointOptions {
  HostPort address;
  // The address as it was given: for texts.
  std::string target;
  // The rest as in ChannelOptions.
  std::shared_ptr<InProcessNetwork> network = nullptr;
  std::shared_ptr<TransportFactory> transport = nullptr;
  Protocol protocol;  // one that dials
  // The facts that this side tells of itself; null: none.
  std::shared_ptr<const HelloFacts> hello = nullptr;
  absl::Duration connect_timeout = absl::Seconds(3);
  absl::Duration backoff = absl::Milliseconds(50);
  double backoff_factor = 1.6;
  absl::Duration max_backoff = absl::Seconds(10);
  double backoff_jitter = 0.2;
  absl::Duration idle_timeout = absl::ZeroDuration();
  ConnectionListener on_connection = nullptr;
  std::shared_ptr<const SessionLimits> limits;  // not null
  // Serves the other side's calls; null: nothing is offered.
  InboundService::Maker make_inbound = nullptr;

  // `channel.protocol` has a value that dials.
  static EndpointOptions Of(const ChannelOptions& channel, HostPort address, std::string target) {
    EndpointOptions options;
    options.address = std::move(address);
    options.target = std::move(target);
    options.network = channel.network;
    options.transport = channel.transport;
    options.protocol = *channel.protocol;
    if (!channel.auth_token.empty()) {
      options.hello = std::make_shared<const HelloFacts>(HelloFacts{.token = channel.auth_token});
    }
    options.connect_timeout = channel.connect_timeout;
    options.backoff = channel.backoff;
    options.backoff_factor = channel.backoff_factor;
    options.max_backoff = channel.max_backoff;
    options.backoff_jitter = channel.backoff_jitter;
    options.idle_timeout = channel.idle_timeout;
    options.on_connection = channel.on_connection;
    options.limits = std::make_shared<const SessionLimits>(channel.limits);
    return options;
  }
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_ENDPOINT_OPTIONS_H_
