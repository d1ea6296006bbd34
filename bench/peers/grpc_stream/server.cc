// gRPC C++, synchronous streams: a handler holds one of the server's own threads, as weft's holds a
// worker.
#include <unistd.h>

#include <string>

#include <grpcpp/grpcpp.h>

#include "bench/peers/common/arguments.h"
#include "bench/peers/common/termination.h"
#include "bench/peers/grpc_shared/grpc_process.h"
#include "bench/peers/grpc_shared/grpc_server.h"
#include "bench/peers/grpc_shared/grpc_tuning.h"
#include "bench/streams.grpc.pb.h"

namespace weft::bench {
namespace {

class Streams final : public StreamService::Service {
 public:
  grpc::Status Down(grpc::ServerContext*, const StreamAsk* request,
                    grpc::ServerWriter<Chunk>* chunks) override {
    Chunk chunk;
    chunk.set_payload(std::string(request->payload(), 'x'));
    while (chunks->Write(chunk)) {
    }
    return grpc::Status::OK;
  }
  grpc::Status Up(grpc::ServerContext*, grpc::ServerReader<Chunk>* chunks,
                  ChunkCount* reply) override {
    Chunk chunk;
    uint64_t count = 0;
    while (chunks->Read(&chunk)) ++count;
    reply->set_chunks(count);
    return grpc::Status::OK;
  }
  grpc::Status Both(grpc::ServerContext*, grpc::ServerReaderWriter<Chunk, Chunk>* stream) override {
    Chunk chunk;
    while (stream->Read(&chunk) && stream->Write(chunk)) {
    }
    return grpc::Status::OK;
  }
};

int Main(int argc, char** argv) {
  BlockTermination();
  PrepareGrpcProcess();
  Arguments arguments(argc, argv);
  const int port = static_cast<int>(arguments.Integer("port", 0, 1, 65535));
  const GrpcTuning tuning(arguments);
  arguments.IgnoreUnread();
  Streams service;
  grpc::ServerBuilder builder;
  return RunGrpcServer(builder, tuning, port, service);
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) { _exit(weft::bench::Main(argc, argv)); }
