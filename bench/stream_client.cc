// Streams messages to or from bench/stream_server: blocking readers and writers, a thread each.
//
//   stream_client --port <p> [--way down|up|both] [--streams <n>] [--payload <bytes>]
//                 [--seconds <s>] [--warmup <s>]
//
// bench/peers/common/stream_run.h says what the line it prints means.
#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/peers/common/arguments.h"
#include "bench/peers/common/monotonic_clock.h"
#include "bench/peers/common/stream_run.h"
#include "bench/streams.weft.h"
#include "weft/rpc/channel.h"

namespace {

using weft::bench::Chunk;
using weft::bench::MeasuredWindow;
using weft::bench::StreamCounter;

class Run {
 public:
  Run(const weft::bench::StreamClientOptions& options, weft::bench::StreamService::Stub& stub)
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
    weft::bench::SleepUntilNanos(window_.begin());
    const double before = weft::bench::ProcessCpuSeconds();
    weft::bench::SleepUntilNanos(window_.end());
    const double cpu = weft::bench::ProcessCpuSeconds() - before;
    for (std::thread& thread : threads) thread.join();
    return PrintStreamReport(options_, messages_, cpu, errors_);
  }

 private:
  weft::CallOptions Endless() const { return {.timeout = absl::InfiniteDuration()}; }

  bool Count(StreamCounter& counter) const {
    if (options_.payload >= 4096) counter.ReadClock();
    return counter.Count();
  }

  void Down() {
    weft::bench::StreamAsk ask;
    ask.set_payload(static_cast<uint32_t>(options_.payload));
    auto chunks = stub_.Down(ask, Endless());
    StreamCounter counter(window_);
    Chunk chunk;
    bool right = true;
    while (chunks.Read(&chunk) && Count(counter))
      right &= chunk.payload().size() == options_.payload;
    chunks.Cancel();
    End(counter.counted(), right && absl::IsCancelled(chunks.Finish()));
  }

  // Counts what was written: all but the last window of it was received.
  void Up() {
    auto chunks = stub_.Up(Endless());
    StreamCounter counter(window_);
    uint64_t sent = 0;
    while (chunks.Write(chunk_)) {
      ++sent;
      if (!Count(counter)) break;
    }
    const absl::StatusOr<weft::bench::ChunkCount> count = chunks.Finish();
    End(counter.counted(), count.ok() && count->chunks() == sent);
  }

  void Both() {
    auto stream = stub_.Both(Endless());
    std::thread writer([&] {
      while (!window_.Over(weft::bench::NowNanos()) && stream.Write(chunk_)) {
      }
      stream.HalfClose();
    });
    StreamCounter counter(window_);
    Chunk chunk;
    bool right = true;
    while (stream.Read(&chunk)) {
      Count(counter);
      right &= chunk.payload().size() == options_.payload;
    }
    writer.join();
    End(counter.counted(), stream.Finish().ok() && right);
  }

  void End(uint64_t messages, bool right) {
    messages_ += messages;
    if (!right) ++errors_;
  }

  const weft::bench::StreamClientOptions& options_;
  weft::bench::StreamService::Stub& stub_;
  MeasuredWindow window_;
  Chunk chunk_;
  std::atomic<uint64_t> messages_{0};
  std::atomic<int> errors_{0};
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
  return Run(options, stub).Do();
}
