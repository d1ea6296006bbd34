// Client of grpc_callback: a blocking call for one caller, else the callback API.
#include <unistd.h>

#include <memory>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "bench/echo.grpc.pb.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/echo_client_options.h"
#include "bench/peers/common/echo_run.h"
#include "bench/peers/common/monotonic_clock.h"
#include "bench/peers/grpc_shared/grpc_blocking_callers.h"
#include "bench/peers/grpc_shared/grpc_call.h"
#include "bench/peers/grpc_shared/grpc_process.h"
#include "bench/peers/grpc_shared/grpc_stubs.h"
#include "bench/peers/grpc_shared/grpc_tuning.h"

namespace weft::bench {
namespace {

// One of the K calls of a connection, and those that follow it.
//
// Threads  whichever of gRPC's threads runs the callback
class CallbackCall {
 public:
  CallbackCall(EchoRun& run, EchoService::Stub& stub) : run_(run), call_(run), stub_(stub) {}

  void Start(uint64_t now) {
    call_.Renew(now);
    stub_.async()->Echo(call_.context(), &call_.request(), &call_.response(),
                        [this](const grpc::Status& status) { OnFinished(status); });
  }

 private:
  void OnFinished(const grpc::Status& status) {
    const uint64_t now = NowNanos();
    if (call_.Finish(status, now)) {
      Start(now);
    } else {
      run_.PartyDone();
    }
  }

  EchoRun& run_;
  GrpcCall call_;
  EchoService::Stub& stub_;
};

int RunCallbacks(EchoRun& run, const GrpcStubs& stubs) {
  std::vector<std::unique_ptr<CallbackCall>> calls;
  for (int k = 0; k < run.options().inflight; ++k) {
    for (int i = 0; i < stubs.size(); ++i) {
      calls.push_back(std::make_unique<CallbackCall>(run, stubs[i]));
    }
  }
  run.Start(static_cast<int>(calls.size()));
  for (auto& call : calls) call->Start(NowNanos());
  const int status = run.FinishAndPrint();
  _exit(status);  // gRPC's threads may still be leaving the last callback
}

int Main(int argc, char** argv) {
  PrepareGrpcProcess();
  Arguments arguments(argc, argv);
  EchoRun run{EchoClientOptions(arguments)};
  const GrpcTuning tuning(arguments);
  arguments.IgnoreUnread();

  const GrpcStubs stubs(run.options(), tuning);
  return run.options().IsOneCaller() ? RunGrpcBlockingCallers(run, stubs)
                                     : RunCallbacks(run, stubs);
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) { _exit(weft::bench::Main(argc, argv)); }
