// gRPC C++, callback API: handlers run on the library's own threads and must not block.
#include <unistd.h>

#include <memory>

#include <grpcpp/grpcpp.h>

#include "bench/echo.grpc.pb.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/echo_server_options.h"
#include "bench/peers/common/sleeper.h"
#include "bench/peers/common/task_pool.h"
#include "bench/peers/common/termination.h"
#include "bench/peers/grpc_shared/grpc_process.h"
#include "bench/peers/grpc_shared/grpc_server.h"
#include "bench/peers/grpc_shared/grpc_tuning.h"

namespace weft::bench {
namespace {

// Answers at once. Where requests may sleep, all of them go to a pool, since a handler cannot tell
// beforehand: gRPC's own advice for work that blocks.
class Echoer final : public EchoService::CallbackService {
 public:
  explicit Echoer(const EchoServerOptions& options) : sleeper_(options) {
    if (sleeper_.enabled()) pool_ = std::make_unique<TaskPool>(options.workers);
  }

  grpc::ServerUnaryReactor* Echo(grpc::CallbackServerContext* context, const EchoRequest* request,
                                 EchoResponse* response) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    if (pool_ == nullptr) {
      Answer(request, response, reactor);
    } else {
      pool_->Post([this, request, response, reactor] {
        sleeper_.SleepIfDue();
        Answer(request, response, reactor);
      });
    }
    return reactor;
  }

 private:
  static void Answer(const EchoRequest* request, EchoResponse* response,
                     grpc::ServerUnaryReactor* reactor) {
    // The request exists for this call alone, so its bytes may be taken instead of copied.
    response->mutable_payload()->swap(*const_cast<EchoRequest*>(request)->mutable_payload());
    reactor->Finish(grpc::Status::OK);
  }

  Sleeper sleeper_;
  std::unique_ptr<TaskPool> pool_;  // null where nothing sleeps
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
  return RunGrpcServer(builder, tuning, options.port, service);
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) { _exit(weft::bench::Main(argc, argv)); }
