// gRPC C++, synchronous streams: a thread reads and, both ways, another writes.
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>

#include <grpcpp/grpcpp.h>

#include "bench/peers/common/arguments.h"
#include "bench/peers/common/stream_run.h"
#include "bench/peers/grpc_shared/grpc_process.h"
#include "bench/peers/grpc_shared/grpc_tuning.h"
#include "bench/streams.grpc.pb.h"

namespace weft::bench {
namespace {

class Client {
 public:
  Client(const StreamClientOptions& options, StreamService::Stub& stub)
      : payload_(options.payload), stub_(stub), run_(options) {
    chunk_.set_payload(std::string(payload_, 'x'));
  }

  int Do() {
    return run_.Do([this] { Down(); }, [this] { Up(); }, [this] { Both(); });
  }

 private:
  void Down() {
    grpc::ClientContext context;
    StreamAsk ask;
    ask.set_payload(static_cast<uint32_t>(payload_));
    const auto chunks = stub_.Down(&context, ask);
    StreamCounter counter = run_.Counter();
    Chunk chunk;
    bool right = true;
    while (chunks->Read(&chunk) && counter.Count()) {
      right &= run_.IsWhole(chunk.payload());
    }
    context.TryCancel();
    while (chunks->Read(&chunk)) {
    }
    run_.End(counter, right && chunks->Finish().error_code() == grpc::StatusCode::CANCELLED);
  }

  void Up() {
    grpc::ClientContext context;
    ChunkCount count;
    const auto chunks = stub_.Up(&context, &count);
    StreamCounter counter = run_.Counter();
    uint64_t sent = 0;
    while (chunks->Write(chunk_)) {
      ++sent;
      if (!counter.Count()) break;
    }
    chunks->WritesDone();
    run_.End(counter, chunks->Finish().ok() && count.chunks() == sent);
  }

  void Both() {
    grpc::ClientContext context;
    const auto stream = stub_.Both(&context);
    std::thread writer([&] {
      while (!run_.Over() && stream->Write(chunk_)) {
      }
      stream->WritesDone();
    });
    StreamCounter counter = run_.Counter();
    Chunk chunk;
    bool right = true;
    while (stream->Read(&chunk)) {
      counter.Count();
      right &= run_.IsWhole(chunk.payload());
    }
    writer.join();
    run_.End(counter, stream->Finish().ok() && right);
  }

  const size_t payload_;
  StreamService::Stub& stub_;
  StreamRun run_;
  Chunk chunk_;
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
  return Client(options, *stub).Do();
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) { _exit(weft::bench::Main(argc, argv)); }
