// A client's connections: one channel each, and a stub on it.
//
// Threads  any thread once constructed
// Errors   no connection within 10 s ends the program
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "bench/echo.grpc.pb.h"
#include "bench/peers/common/echo_client_options.h"
#include "bench/peers/common/fail.h"
#include "bench/peers/grpc_shared/grpc_tuning.h"

namespace weft::bench {

class GrpcStubs {
 public:
  GrpcStubs(const EchoClientOptions& options, const GrpcTuning& tuning) {
    grpc::ChannelArguments arguments;
    tuning.Apply(arguments);
    // Channels with equal arguments share a TCP connection unless each has a pool of its own.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    std::vector<std::shared_ptr<grpc::Channel>> channels;
    for (int i = 0; i < options.connections; ++i) {
      const std::string target = "127.0.0.1:" + std::to_string(options.PortOf(i));
      channels.push_back(
          grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments));
      channels.back()->GetState(/*try_to_connect=*/true);
    }
    const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(10);
    for (const auto& channel : channels) {
      if (!channel->WaitForConnected(deadline)) Fail("no connection in 10 s");
      stubs_.push_back(EchoService::NewStub(channel));
    }
  }

  int size() const { return static_cast<int>(stubs_.size()); }
  EchoService::Stub& operator[](int i) const { return *stubs_[static_cast<size_t>(i)]; }

 private:
  std::vector<std::unique_ptr<EchoService::Stub>> stubs_;
};

}  // namespace weft::bench
