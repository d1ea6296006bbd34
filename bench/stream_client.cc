// Streams messages to or from bench/stream_server: blocking readers and writers, a thread each.
//
//   stream_client --port <p> [--way down|up|both] [--streams <n>] [--payload <bytes>]
//                 [--seconds <s>] [--warmup <s>]
//
// bench/peers/common/stream_run.h says what the line it prints means.
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "bench/peers/common/arguments.h"
#include "bench/peers/common/stream_run.h"
#include "bench/streams.weft.h"
#include "weft/rpc/channel.h"

namespace {

using weft::bench::Chunk;

class Client {
 public:
  Client(const weft::bench::StreamClientOptions& options, weft::bench::StreamService::Stub& stub)
      : payload_(options.payload), stub_(stub), run_(options) {
    chunk_.set_payload(std::string(payload_, 'x'));
  }

  int Do() {
    return run_.Do([this] { Down(); }, [this] { Up(); }, [this] { Both(); });
  }

 private:
  // The channel's timeout would end the stream after 10 seconds.
  weft::CallOptions Endless() const { return {.timeout = absl::InfiniteDuration()}; }

  void Down() {
    weft::bench::StreamAsk ask;
    ask.set_payload(static_cast<uint32_t>(payload_));
    auto chunks = stub_.Down(ask, Endless());
    weft::bench::StreamCounter counter = run_.Counter();
    Chunk chunk;
    bool right = true;
    while (chunks.Read(&chunk) && counter.Count()) right &= run_.IsWhole(chunk.payload());
    chunks.Cancel();
    // The server writes without end, so CANCELLED is the right end.
    run_.End(counter, right && absl::IsCancelled(chunks.Finish()));
  }

  // Counts what was written: all but the last window of it was received.
  void Up() {
    auto chunks = stub_.Up(Endless());
    weft::bench::StreamCounter counter = run_.Counter();
    uint64_t sent = 0;
    while (chunks.Write(chunk_)) {
      ++sent;
      if (!counter.Count()) break;
    }
    const absl::StatusOr<weft::bench::ChunkCount> count = chunks.Finish();
    run_.End(counter, count.ok() && count->chunks() == sent);
  }

  void Both() {
    auto stream = stub_.Both(Endless());
    // A thread of its own: one that wrote and read in turn would measure round trips.
    std::thread writer([&] {
      while (!run_.Over() && stream.Write(chunk_)) {
      }
      stream.HalfClose();
    });
    weft::bench::StreamCounter counter = run_.Counter();
    Chunk chunk;
    bool right = true;
    while (stream.Read(&chunk)) {
      counter.Count();
      right &= run_.IsWhole(chunk.payload());
    }
    writer.join();
    run_.End(counter, stream.Finish().ok() && right);
  }

  const size_t payload_;
  weft::bench::StreamService::Stub& stub_;
  weft::bench::StreamRun run_;
  Chunk chunk_;
};

}  // namespace

int main(int argc, char** argv) {
  weft::bench::Arguments arguments(argc, argv);
  const weft::bench::StreamClientOptions options(arguments);
  arguments.RefuseUnread();
  auto channel = weft::Channel::Create("127.0.0.1:" + std::to_string(options.port));
  if (!channel.ok()) {
    std::fprintf(stderr, "error: %s\n", channel.status().ToString().c_str());
    return 2;
  }
  weft::bench::StreamService::Stub stub(**channel);
  return Client(options, stub).Do();
}
