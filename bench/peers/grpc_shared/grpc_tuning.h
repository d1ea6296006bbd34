// The channel arguments both sides use, chosen for speed.
//
//   minimal stack   no filters for deadlines, message limits, compression, idleness: less CPU
//                   a call than what an application gets by default (`--stack full`)
//   no BDP probe,   large fixed windows instead of measuring the connection: good for large
//   4 MiB ahead     messages, neutral for small ones
//
// Threads  value
#pragma once

#include <string>

#include <grpcpp/grpcpp.h>

#include "bench/peers/common/arguments.h"
#include "bench/peers/common/fail.h"

namespace weft::bench {

class GrpcTuning {
 public:
  explicit GrpcTuning(Arguments& arguments) {
    const std::string stack = arguments.Text("stack", "minimal");
    if (stack != "minimal" && stack != "full") Fail("--stack is minimal or full");
    minimal_ = stack == "minimal";
  }

  void Apply(grpc::ChannelArguments& channel) const {
    Each([&](const char* name, int value) { channel.SetInt(name, value); });
    channel.SetMaxReceiveMessageSize(-1);
    channel.SetMaxSendMessageSize(-1);
  }

  void Apply(grpc::ServerBuilder& server) const {
    Each([&](const char* name, int value) { server.AddChannelArgument(name, value); });
    server.SetMaxReceiveMessageSize(-1);
    server.SetMaxSendMessageSize(-1);
  }

 private:
  template <typename Set>
  void Each(Set set) const {
    if (minimal_) set(GRPC_ARG_MINIMAL_STACK, 1);
    set(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    set(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 4 << 20);
  }

  bool minimal_;
};

}  // namespace weft::bench
