// Builds a gRPC server on the port asked for and runs it until SIGTERM.
//
// Threads  main, with the termination signals blocked
// Ends     drains for at most kDrain, then returns the exit status
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include <grpcpp/grpcpp.h>

#include "bench/peers/common/fail.h"
#include "bench/peers/common/termination.h"
#include "bench/peers/grpc_shared/grpc_tuning.h"

namespace weft::bench {

inline int RunGrpcServer(grpc::ServerBuilder& builder, const GrpcTuning& tuning, int port,
                         grpc::Service& service) {
  constexpr std::chrono::seconds kDrain{5};
  int bound = 0;
  builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(),
                           &bound);
  builder.RegisterService(&service);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  tuning.Apply(builder);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || bound != port) Fail("cannot listen on port " + std::to_string(port));
  AnnounceReady();
  WaitForTermination();
  server->Shutdown(std::chrono::system_clock::now() + kDrain);
  return 0;
}

}  // namespace weft::bench
