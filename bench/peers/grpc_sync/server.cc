// gRPC C++, synchronous service: the server's own threads poll and run the handlers.
#include <unistd.h>

#include <algorithm>

#include <grpcpp/grpcpp.h>

#include "bench/echo.grpc.pb.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/echo_server_options.h"
#include "bench/peers/common/sleeper.h"
#include "bench/peers/common/termination.h"
#include "bench/peers/grpc_shared/grpc_process.h"
#include "bench/peers/grpc_shared/grpc_server.h"
#include "bench/peers/grpc_shared/grpc_tuning.h"

namespace weft::bench {
namespace {

class Echoer final : public EchoService::Service {
 public:
  explicit Echoer(const EchoServerOptions& options) : sleeper_(options) {}

  grpc::Status Echo(grpc::ServerContext*, const EchoRequest* request,
                    EchoResponse* response) override {
    sleeper_.SleepIfDue();
    // The request exists for this call alone, so its bytes may be taken instead of copied.
    response->mutable_payload()->swap(*const_cast<EchoRequest*>(request)->mutable_payload());
    return grpc::Status::OK;
  }

 private:
  Sleeper sleeper_;
};

int Main(int argc, char** argv) {
  BlockTermination();
  PrepareGrpcProcess();
  Arguments arguments(argc, argv);
  const EchoServerOptions options(arguments);
  const GrpcTuning tuning(arguments);
  arguments.IgnoreUnread();

  Echoer service(options);
  grpc::ServerBuilder builder;
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, options.io_threads);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, std::max(2, options.workers));
  return RunGrpcServer(builder, tuning, options.port, service);
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) { _exit(weft::bench::Main(argc, argv)); }
