// Broadcasts of grpc_callback: the same request to each of C servers; K at a time.
//
// Server i listens on port P + i.
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "bench/echo.grpc.pb.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/echo_client_options.h"
#include "bench/peers/common/echo_run.h"
#include "bench/peers/common/monotonic_clock.h"
#include "bench/peers/grpc_shared/grpc_process.h"
#include "bench/peers/grpc_shared/grpc_stubs.h"
#include "bench/peers/grpc_shared/grpc_tuning.h"

namespace weft::bench {
namespace {

// One of the K broadcasts, and those that follow it. The messages are used again.
//
// Threads  whichever of gRPC's threads runs the callbacks
class BroadcastChain {
 public:
  BroadcastChain(EchoRun& run, const GrpcStubs& stubs)
      : run_(run), stubs_(stubs), legs_(static_cast<size_t>(stubs.size())) {
    request_.set_payload(run.pattern().bytes());
  }

  void Start(uint64_t now) {
    start_ = now;
    run_.pattern().Stamp(request_.mutable_payload()->data(), ++number_);
    good_ = true;
    const int size = stubs_.size();
    left_ = size;
    for (int i = 0; i < size; ++i) {
      Leg& leg = legs_[static_cast<size_t>(i)];
      leg.context.emplace();
      stubs_[i].async()->Echo(&*leg.context, &request_, &leg.response,
                              [this, &leg](const grpc::Status& status) { OnReply(leg, status); });
    }
  }

 private:
  struct Leg {
    std::optional<grpc::ClientContext> context;
    EchoResponse response;
  };

  void OnReply(const Leg& leg, const grpc::Status& status) {
    if (!status.ok()) {
      std::fprintf(stderr, "call failed: %d %s\n", static_cast<int>(status.error_code()),
                   status.error_message().c_str());
      good_ = false;
    } else if (const std::string& payload = leg.response.payload();
               !run_.recorder().Check(payload.data(), payload.size(), number_)) {
      good_ = false;
    }
    if (left_.fetch_sub(1) > 1) return;
    const uint64_t now = NowNanos();
    if (run_.recorder().Finish(start_, now, good_)) {
      Start(now);
    } else {
      run_.PartyDone();
    }
  }

  EchoRun& run_;
  const GrpcStubs& stubs_;
  EchoRequest request_;
  std::vector<Leg> legs_;
  std::atomic<int> left_{0};
  std::atomic<bool> good_{true};
  uint64_t start_ = 0;
  uint64_t number_ = 0;
};

[[noreturn]] void Main(int argc, char** argv) {
  PrepareGrpcProcess();
  Arguments arguments(argc, argv);
  EchoClientOptions options(arguments);
  options.port_step = 1;
  EchoRun run(options);
  const GrpcTuning tuning(arguments);
  arguments.IgnoreUnread();

  const GrpcStubs stubs(run.options(), tuning);
  std::vector<std::unique_ptr<BroadcastChain>> chains;
  for (int k = 0; k < run.options().inflight; ++k) {
    chains.push_back(std::make_unique<BroadcastChain>(run, stubs));
  }
  run.Start(static_cast<int>(chains.size()));
  for (auto& chain : chains) chain->Start(NowNanos());
  const int status = run.FinishAndPrint();
  _exit(status);  // gRPC's threads may still be leaving the last callback
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) { weft::bench::Main(argc, argv); }
