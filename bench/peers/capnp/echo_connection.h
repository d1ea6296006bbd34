// A connection of Cap'n Proto's clients, and the server's service on it.
//
// Threads  its loop's
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

#include "bench/peers/capnp/capnp_tuning.h"
#include "bench/peers/common/echo_pattern.h"
#include "bench/peers/common/echo_run.h"
#include "echo.capnp.h"

namespace weft::bench {

using EchoReply = capnp::Response<capnp_echo::EchoService::EchoResults>;

class EchoConnection {
 public:
  using Echo = capnp_echo::EchoService;

  EchoConnection(const EchoPattern& pattern, kj::Own<kj::AsyncIoStream> stream)
      : pattern_(pattern),
        stream_(kj::mv(stream)),
        rpc_(*stream_),
        service_(rpc_.bootstrap().castAs<Echo>()) {}

  kj::Promise<void> Resolved() { return service_.whenResolved(); }

  capnp::RemotePromise<Echo::EchoResults> Send(uint64_t number) {
    auto request = service_.echoRequest(SizeHint(pattern_.size()));
    capnp::Data::Builder payload = request.initPayload(static_cast<unsigned>(pattern_.size()));
    std::memcpy(payload.begin(), pattern_.bytes().data(), pattern_.size());
    pattern_.Stamp(payload.begin(), number);
    return request.send();
  }

 private:
  const EchoPattern& pattern_;
  kj::Own<kj::AsyncIoStream> stream_;
  capnp::TwoPartyClient rpc_;
  Echo::Client service_;
};

using EchoConnections = std::vector<std::unique_ptr<EchoConnection>>;

// Returns the connections that the client is asked for, up and resolved.
inline EchoConnections ConnectAll(const EchoRun& run, kj::AsyncIoContext& io) {
  EchoConnections connections;
  for (int i = 0; i < run.options().connections; ++i) {
    auto address = io.provider->getNetwork()
                       .parseAddress("127.0.0.1", static_cast<unsigned>(run.options().PortOf(i)))
                       .wait(io.waitScope);
    connections.push_back(
        std::make_unique<EchoConnection>(run.pattern(), address->connect().wait(io.waitScope)));
    connections.back()->Resolved().wait(io.waitScope);
  }
  return connections;
}

}  // namespace weft::bench
