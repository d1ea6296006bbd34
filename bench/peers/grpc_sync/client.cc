// Client of grpc_sync: blocking calls where a thread a connection is affordable, else completion
// queues, the API gRPC names as its fastest.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
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

constexpr int kBlockingAtMost = 16;  // threads

// One of the K calls of a connection, and those that follow it.
//
// Threads  whichever thread took its event from the queue
class QueuedCall {
 public:
  QueuedCall(EchoRun& run, EchoService::Stub& stub, grpc::CompletionQueue& queue)
      : call_(run), stub_(stub), queue_(queue) {}

  void Start(uint64_t now) {
    reader_.reset();  // before the context it refers to
    call_.Renew(now);
    reader_ = stub_.AsyncEcho(call_.context(), call_.request(), &queue_);
    reader_->Finish(&call_.response(), &status_, this);
  }

  // True: it went on with another call.
  bool OnFinished(bool ok) {
    const uint64_t now = NowNanos();
    if (!ok) status_ = grpc::Status(grpc::StatusCode::UNKNOWN, "the queue refused the call");
    if (!call_.Finish(status_, now)) return false;
    Start(now);
    return true;
  }

 private:
  GrpcCall call_;
  EchoService::Stub& stub_;
  grpc::CompletionQueue& queue_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<EchoResponse>> reader_;
  grpc::Status status_;
};

// Two threads to a queue, as gRPC advises; a queue for every two cores this process may use.
int RunQueues(EchoRun& run, const GrpcStubs& stubs) {
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const int queue_count = std::clamp(cores / 2, 1, stubs.size());
  std::vector<std::unique_ptr<grpc::CompletionQueue>> queues;
  for (int i = 0; i < queue_count; ++i) queues.push_back(std::make_unique<grpc::CompletionQueue>());

  std::vector<std::unique_ptr<QueuedCall>> calls;
  for (int k = 0; k < run.options().inflight; ++k) {
    for (int i = 0; i < stubs.size(); ++i) {
      calls.push_back(std::make_unique<QueuedCall>(run, stubs[i],
                                                   *queues[static_cast<size_t>(i % queue_count)]));
    }
  }

  run.Start(static_cast<int>(calls.size()));
  for (auto& call : calls) call->Start(NowNanos());
  std::atomic<size_t> out{calls.size()};
  std::vector<std::thread> threads;
  for (int i = 0; i < std::min(2 * queue_count, cores); ++i) {
    threads.emplace_back([&, &queue = *queues[static_cast<size_t>(i % queue_count)]] {
      void* tag = nullptr;
      bool ok = false;
      while (queue.Next(&tag, &ok)) {
        if (static_cast<QueuedCall*>(tag)->OnFinished(ok)) continue;
        run.PartyDone();
        if (--out == 0) {
          for (auto& each : queues) each->Shutdown();
        }
      }
    });
  }
  const int status = run.FinishAndPrint();
  if (status != 0) _exit(status);  // calls may still be out
  for (std::thread& thread : threads) thread.join();
  return 0;
}

int Main(int argc, char** argv) {
  PrepareGrpcProcess();
  Arguments arguments(argc, argv);
  EchoRun run{EchoClientOptions(arguments)};
  const GrpcTuning tuning(arguments);
  arguments.IgnoreUnread();

  const GrpcStubs stubs(run.options(), tuning);
  const bool blocking = run.options().inflight == 1 && stubs.size() <= kBlockingAtMost;
  return blocking ? RunGrpcBlockingCallers(run, stubs) : RunQueues(run, stubs);
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) { _exit(weft::bench::Main(argc, argv)); }
