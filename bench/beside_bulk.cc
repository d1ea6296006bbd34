// Measures what a bulk transfer does to small calls: on their own connection, against the same
// bytes on another one.
//
//   beside_bulk --port <p> [--way down|up] [--chunk <bytes>] [--rate <MB/s, 0: all that goes>]
//               [--seconds <of a phase>] [--rounds <n>]
//
// A blocking caller sends 32-byte echoes to bench/stream_server one after the other while a stream
// of large chunks runs, paced to `rate` on both connections alike. Rounds of three phases (no bulk,
// bulk on another connection, bulk on the same) follow each other; a line for each, then medians.
// The last line: "p99 beside bulk, same connection against another: R".
#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/echo.weft.h"
#include "bench/median.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/fail.h"
#include "bench/peers/common/latency_histogram.h"
#include "bench/peers/common/monotonic_clock.h"
#include "bench/streams.weft.h"
#include "weft/rpc/channel.h"

namespace {

using weft::bench::Fail;
using weft::bench::NowNanos;

struct Options {
  std::string target;
  std::string way;
  size_t chunk;
  double rate;  // bytes a nanosecond; 0: unpaced
  double seconds;
};

struct Phase {
  double p50 = 0, p99 = 0, p999 = 0;  // microseconds
  double calls_per_s = 0;
  double mb_per_s = 0;
};

std::unique_ptr<weft::Channel> Connect(const Options& options,
                                       const std::shared_ptr<weft::Runtime>& runtime) {
  auto channel = weft::Channel::Create(options.target, {.runtime = runtime});
  if (!channel.ok()) Fail(channel.status().ToString());
  return *std::move(channel);
}

// A stream of chunks on a channel while it lives.
class Bulk {
 public:
  Bulk(const Options& options, weft::Channel& channel) : options_(options), stub_(channel) {
    thread_ = std::thread([this] { options_.way == "down" ? Down() : Up(); });
  }
  ~Bulk() {
    stop_.store(true);
    thread_.join();
  }
  Bulk(const Bulk&) = delete;
  Bulk& operator=(const Bulk&) = delete;

  uint64_t bytes() const { return bytes_.load(); }

 private:
  // After a chunk: waits until its time is over. False: enough.
  bool Next() {
    const uint64_t all = bytes_.fetch_add(options_.chunk) + options_.chunk;
    if (options_.rate > 0) {
      weft::bench::SleepUntilNanos(begin_ +
                                   static_cast<uint64_t>(static_cast<double>(all) / options_.rate));
    }
    return !stop_.load();
  }
  void Down() {
    weft::bench::StreamAsk ask;
    ask.set_payload(static_cast<uint32_t>(options_.chunk));
    auto chunks = stub_.Down(ask, {.timeout = absl::InfiniteDuration()});
    weft::bench::Chunk chunk;
    while (chunks.Read(&chunk) && Next()) {
    }
  }
  void Up() {
    weft::bench::Chunk chunk;
    chunk.set_payload(std::string(options_.chunk, 'x'));
    auto chunks = stub_.Up({.timeout = absl::InfiniteDuration()});
    while (chunks.Write(chunk) && Next()) {
    }
    if (absl::Status s = chunks.Finish().status(); !s.ok()) Fail(s.ToString());
  }

  const Options& options_;
  weft::bench::StreamService::Stub stub_;
  const uint64_t begin_ = NowNanos();
  std::atomic<uint64_t> bytes_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// Echoes on `small`, beside a bulk transfer on `beside`, if there is one.
Phase Measure(const Options& options, weft::Channel& small, weft::Channel* beside) {
  weft::bench::EchoService::Stub stub(small);
  weft::bench::EchoRequest request;
  request.set_payload(std::string(32, 'x'));
  const auto echo = [&] {
    const absl::StatusOr<weft::bench::EchoResponse> reply = stub.Echo(request);
    if (!reply.ok()) Fail(reply.status().ToString());
  };
  std::unique_ptr<Bulk> bulk;
  if (beside != nullptr) bulk = std::make_unique<Bulk>(options, *beside);
  const auto nanos = static_cast<uint64_t>(options.seconds * 1e9);
  // Warm-up: the bulk transfer has filled its windows by then.
  for (const uint64_t until = NowNanos() + nanos / 4; NowNanos() < until;) echo();
  weft::bench::LatencyHistogram histogram;
  const uint64_t begin = NowNanos();
  const uint64_t bytes = bulk != nullptr ? bulk->bytes() : 0;
  for (uint64_t now = begin; now < begin + nanos;) {
    echo();
    const uint64_t end = NowNanos();
    histogram.Add(end - now);
    now = end;
  }
  const auto took = static_cast<double>(NowNanos() - begin);
  Phase phase;
  phase.p50 = histogram.Quantile(0.5) / 1e3;
  phase.p99 = histogram.Quantile(0.99) / 1e3;
  phase.p999 = histogram.Quantile(0.999) / 1e3;
  phase.calls_per_s = static_cast<double>(histogram.total()) / took * 1e9;
  if (bulk != nullptr) phase.mb_per_s = static_cast<double>(bulk->bytes() - bytes) / took * 1e3;
  return phase;
}

void Print(const char* what, const Phase& p) {
  std::printf("%-18s p50 %7.1f us  p99 %8.1f us  p99.9 %8.1f us  %7.0f calls/s  %7.1f MB/s\n", what,
              p.p50, p.p99, p.p999, p.calls_per_s, p.mb_per_s);
  std::fflush(stdout);
}

double MedianOf(const std::vector<Phase>& phases, double Phase::*of) {
  std::vector<double> values;
  for (const Phase& phase : phases) values.push_back(phase.*of);
  return weft::bench::Median(std::move(values));
}

Phase Medians(const std::vector<Phase>& phases) {
  return {MedianOf(phases, &Phase::p50), MedianOf(phases, &Phase::p99),
          MedianOf(phases, &Phase::p999), MedianOf(phases, &Phase::calls_per_s),
          MedianOf(phases, &Phase::mb_per_s)};
}

}  // namespace

int main(int argc, char** argv) {
  weft::bench::Arguments arguments(argc, argv);
  Options options;
  options.target = "127.0.0.1:" + std::to_string(arguments.Integer("port", 0, 1, 65535));
  options.way = arguments.Text("way", "down");
  if (options.way != "down" && options.way != "up") Fail("--way is down or up");
  options.chunk = static_cast<size_t>(arguments.Integer("chunk", 1 << 20, 1, 64 << 20));
  options.rate = arguments.Real("rate", 200, 0, 1e6) * 1e-3;
  options.seconds = arguments.Real("seconds", 1, 0.01, 3600);
  const auto rounds = static_cast<int>(arguments.Integer("rounds", 5, 1, 1000));
  arguments.RefuseUnread();

  auto runtime = weft::Runtime::Create();
  if (!runtime.ok()) Fail(runtime.status().ToString());
  const auto small = Connect(options, *runtime);
  const auto other = Connect(options, *runtime);
  std::vector<Phase> none, apart, together;
  std::vector<double> ratios;
  for (int i = 0; i < rounds; ++i) {
    none.push_back(Measure(options, *small, nullptr));
    Print("no bulk", none.back());
    apart.push_back(Measure(options, *small, other.get()));
    Print("another connection", apart.back());
    together.push_back(Measure(options, *small, small.get()));
    Print("same connection", together.back());
    ratios.push_back(together.back().p99 / apart.back().p99);
  }
  std::printf("medians of %d rounds\n", rounds);
  Print("no bulk", Medians(none));
  Print("another connection", Medians(apart));
  Print("same connection", Medians(together));
  std::printf("p99 beside bulk, same connection against another: %.2f\n",
              weft::bench::Median(std::move(ratios)));
  return 0;
}
