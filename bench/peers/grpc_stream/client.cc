// gRPC C++, synchronous streams: a thread reads and, both ways, another writes.
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "bench/peers/common/arguments.h"
#include "bench/peers/common/monotonic_clock.h"
#include "bench/peers/common/stream_run.h"
#include "bench/peers/grpc_shared/grpc_process.h"
#include "bench/peers/grpc_shared/grpc_tuning.h"
#include "bench/streams.grpc.pb.h"

namespace weft::bench {
namespace {

class Run {
 public:
  Run(const StreamClientOptions& options, StreamService::Stub& stub)
      : options_(options), stub_(stub) {
    chunk_.set_payload(std::string(options.payload, 'x'));
  }

  int Do() {
    window_.Open(options_.warmup, options_.seconds);
    std::vector<std::thread> threads;
    for (int i = 0; i < options_.streams; ++i) {
      threads.emplace_back([this] {
        if (options_.way == "down") Down();
        if (options_.way == "up") Up();
        if (options_.way == "both") Both();
      });
    }
    SleepUntilNanos(window_.begin());
    const double before = ProcessCpuSeconds();
    SleepUntilNanos(window_.end());
    const double cpu = ProcessCpuSeconds() - before;
    for (std::thread& thread : threads) thread.join();
    return PrintStreamReport(options_, messages_, cpu, errors_);
  }

 private:
  bool Count(StreamCounter& counter) const {
    if (options_.payload >= 4096) counter.ReadClock();
    return counter.Count();
  }

  void Down() {
    grpc::ClientContext context;
    StreamAsk ask;
    ask.set_payload(static_cast<uint32_t>(options_.payload));
    const auto chunks = stub_.Down(&context, ask);
    StreamCounter counter(window_);
    Chunk chunk;
    bool right = true;
    while (chunks->Read(&chunk) && Count(counter)) {
      right &= chunk.payload().size() == options_.payload;
    }
    context.TryCancel();
    while (chunks->Read(&chunk)) {
    }
    End(counter.counted(), right && chunks->Finish().error_code() == grpc::StatusCode::CANCELLED);
  }

  void Up() {
    grpc::ClientContext context;
    ChunkCount count;
    const auto chunks = stub_.Up(&context, &count);
    StreamCounter counter(window_);
    uint64_t sent = 0;
    while (chunks->Write(chunk_)) {
      ++sent;
      if (!Count(counter)) break;
    }
    chunks->WritesDone();
    End(counter.counted(), chunks->Finish().ok() && count.chunks() == sent);
  }

  void Both() {
    grpc::ClientContext context;
    const auto stream = stub_.Both(&context);
    std::thread writer([&] {
      while (!window_.Over(NowNanos()) && stream->Write(chunk_)) {
      }
      stream->WritesDone();
    });
    StreamCounter counter(window_);
    Chunk chunk;
    bool right = true;
    while (stream->Read(&chunk)) {
      Count(counter);
      right &= chunk.payload().size() == options_.payload;
    }
    writer.join();
    End(counter.counted(), stream->Finish().ok() && right);
  }

  void End(uint64_t messages, bool right) {
    messages_ += messages;
    if (!right) ++errors_;
  }

  const StreamClientOptions& options_;
  StreamService::Stub& stub_;
  MeasuredWindow window_;
  Chunk chunk_;
  std::atomic<uint64_t> messages_{0};
  std::atomic<int> errors_{0};
};

int Main(int argc, char** argv) {
  PrepareGrpcProcess();
  Arguments arguments(argc, argv);
  const StreamClientOptions options(arguments);
  const GrpcTuning tuning(arguments);
  arguments.IgnoreUnread();
  grpc::ChannelArguments channel;
  tuning.Apply(channel);
  const std::unique_ptr<StreamService::Stub> stub = StreamService::NewStub(
      grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(options.port),
                                grpc::InsecureChannelCredentials(), channel));
  return Run(options, *stub).Do();
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) { _exit(weft::bench::Main(argc, argv)); }
