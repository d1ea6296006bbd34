// weft's server of streams and echoes: blocking handlers on the worker pool.
//
//   stream_server --port <p> [--io <threads>] [--workers <threads>]
#include <atomic>
#include <cstdio>
#include <string>

#include "bench/echoer.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/termination.h"
#include "bench/streams.weft.h"
#include "weft/rpc/server.h"

namespace {

using weft::bench::Chunk;

class Streams final : public weft::bench::StreamService::Service {
 public:
  absl::Status Down(weft::ServerContext&, weft::bench::StreamAsk& request,
                    weft::ServerWriter<Chunk>& chunks) override {
    Chunk chunk;
    chunk.set_payload(std::string(request.payload(), 'x'));
    // Ends when the client cancels, which decides how long is measured.
    while (chunks.Write(chunk)) {
    }
    return absl::OkStatus();
  }
  absl::Status Up(weft::ServerContext&, weft::ServerReader<Chunk>& chunks,
                  weft::bench::ChunkCount& reply) override {
    Chunk chunk;
    uint64_t count = 0;
    while (chunks.Read(&chunk)) ++count;
    reply.set_chunks(count);
    return absl::OkStatus();
  }
  absl::Status Both(weft::ServerContext&, weft::ServerStream<Chunk, Chunk>& stream) override {
    Chunk chunk;
    while (stream.Read(&chunk) && stream.Write(chunk)) {
    }
    return absl::OkStatus();
  }
};

}  // namespace

int main(int argc, char** argv) {
  weft::bench::BlockTermination();
  weft::bench::Arguments arguments(argc, argv);
  const std::string port = std::to_string(arguments.Integer("port", 0, 1, 65535));
  weft::ServerOptions options;
  options.io_threads = static_cast<int>(arguments.Integer("io", 1, 1, 1024));
  // Twice the streams of the largest workload: half of the workers may wait for a reader.
  options.worker_threads = static_cast<int>(arguments.Integer("workers", 16, 1, 1024));
  arguments.RefuseUnread();

  Streams streams;
  weft::bench::Echoer echo;
  weft::Server server(options);
  absl::Status status = server.Register(streams);
  if (status.ok()) status = server.Register(echo);
  if (status.ok()) status = server.Start("127.0.0.1:" + port);
  if (!status.ok()) {
    std::fprintf(stderr, "error: %s\n", status.ToString().c_str());
    return 2;
  }
  weft::bench::AnnounceReady();
  weft::bench::WaitForTermination();
  server.Stop();
  return 0;
}
