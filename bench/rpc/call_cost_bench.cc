// Measures what deadlines, metadata, interceptors and statistics add to a call, in nanoseconds.
//
// Client and server share one loop and one thread, with a socket between them: calls go in batches,
// so that system calls are shared by many and nothing is woken. A sample without the feature and
// one with it follow each other at once; `cost_ns` is the median of their differences a call, so
// what slows both goes out of it. `plain_ns` and `with_ns` are the medians themselves: client,
// server and their share of the system calls together.

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "bench/echo.weft.h"
#include "bench/median.h"
#include "weft/core/loop_group.h"
#include "weft/core/parker.h"
#include "weft/rpc/base/method_stats.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

namespace weft {

using namespace internal;

namespace {

using bench::Median;

using bench::EchoRequest;
using bench::EchoResponse;
using bench::EchoService;

constexpr int kBatch = 64;
constexpr int kBatches = 16;  // a sample

class EchoBack final : public EchoService::Service {
  absl::Status Echo(ServerContext&, EchoRequest& request, EchoResponse& reply) override {
    reply.set_payload(request.payload());
    return absl::OkStatus();
  }
};

// A channel and a server on the same loop.
class Pair {
 public:
  explicit Pair(const std::shared_ptr<Runtime>& runtime, ClientInterceptors client = {},
                ServerInterceptors server = {}) {
    ServerOptions server_options;
    server_options.runtime = runtime;
    server_options.run_inline = true;
    server_options.interceptors = std::move(server);
    server_ = std::make_unique<Server>(std::move(server_options));
    (void)server_->Register(service_);
    if (!server_->Start("127.0.0.1:0").ok()) return;
    ChannelOptions options;
    options.runtime = runtime;
    options.interceptors = std::move(client);
    auto channel = Channel::Create(server_->addresses().front(), std::move(options));
    if (!channel.ok()) return;
    channel_ = *std::move(channel);
    up_ = EchoService::Stub(*channel_).Echo(EchoRequest(), {.timeout = absl::Seconds(10)}).ok();
  }
  bool up() const { return up_; }
  Channel& channel() { return *channel_; }

 private:
  EchoBack service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Channel> channel_;
  bool up_ = false;
};

// Calls, batch after batch, and how long they took each.
class Sample {
 public:
  // `options`: for each call of a batch.
  using OptionsOf = std::function<CallOptions(int call)>;

  Sample(EventLoop& loop, Pair& pair, OptionsOf options)
      : loop_(loop), stub_(pair.channel()), options_(std::move(options)) {
    request_.set_payload(std::string(32, 'x'));
  }
  double Take() {
    loop_.Post([this](TaskFate) {
      began_ = Clock::System().Now();
      batches_ = kBatches;
      Begin();
    });
    done_.Park();
    return std::chrono::duration<double, std::nano>(ended_ - began_).count() / kBatches / kBatch;
  }

 private:
  void Begin() {
    left_ = kBatch;
    for (int i = 0; i < kBatch; ++i) {
      stub_.EchoAsync(request_, options_(i), [this](absl::StatusOr<EchoResponse> reply) {
        benchmark::DoNotOptimize(reply.ok());
        if (--left_ > 0) return;
        if (--batches_ > 0) {
          // Not inside the callback: the next batch would leave in pieces.
          loop_.Post([this](TaskFate) { Begin(); });
          return;
        }
        ended_ = Clock::System().Now();
        done_.Unpark();
      });
    }
  }

  EventLoop& loop_;
  EchoService::Stub stub_;
  const OptionsOf options_;
  EchoRequest request_;
  int left_ = 0;
  int batches_ = 0;
  MonoTime began_, ended_;
  Parker done_;
};

void Compare(benchmark::State& state, Sample& plain, Sample& with) {
  std::vector<double> plain_ns, with_ns, differences;
  for (int i = 0; i < 3; ++i) {
    plain.Take();
    with.Take();
  }
  bool swap = false;
  for (auto _ : state) {
    // Each goes first as often as the other.
    double p, w;
    if (swap) {
      w = with.Take();
      p = plain.Take();
    } else {
      p = plain.Take();
      w = with.Take();
    }
    swap = !swap;
    plain_ns.push_back(p);
    with_ns.push_back(w);
    differences.push_back(w - p);
  }
  state.counters["plain_ns"] = Median(std::move(plain_ns));
  state.counters["with_ns"] = Median(std::move(with_ns));
  state.counters["cost_ns"] = Median(std::move(differences));
}

std::shared_ptr<Runtime> OneLoop() {
  RuntimeOptions options;
  options.worker_threads = 1;
  options.log_level = LogLevel::kOff;
  return *Runtime::Create(std::move(options));
}

CallOptions Plain(int) { return {.timeout = absl::InfiniteDuration()}; }

// The same channel, with other options for each call.
void CompareOptions(benchmark::State& state, const Sample::OptionsOf& plain_options,
                    const Sample::OptionsOf& with_options) {
  const auto runtime = OneLoop();
  Pair pair(runtime);
  if (!pair.up()) {
    state.SkipWithError("no connection");
    return;
  }
  EventLoop& loop = *runtime->loops().At(0).loop;
  Sample plain(loop, pair, plain_options);
  Sample with(loop, pair, with_options);
  Compare(state, plain, with);
}

void BM_CallCostOfDeadline(benchmark::State& state) {
  CompareOptions(state, Plain, [](int) -> CallOptions { return {.timeout = absl::Seconds(10)}; });
}
BENCHMARK(BM_CallCostOfDeadline)->UseRealTime();

// A ClientContext alone: it can be cancelled and says how the call went.
void BM_CallCostOfContext(benchmark::State& state) {
  std::vector<std::optional<ClientContext>> contexts(kBatch);
  CompareOptions(state, Plain, [&](int i) -> CallOptions {
    ClientContext& context = contexts[static_cast<size_t>(i)].emplace();
    return {.timeout = absl::InfiniteDuration(), .context = &context};
  });
}
BENCHMARK(BM_CallCostOfContext)->UseRealTime();

// Two pairs of metadata with the request, on top of the context that carries them.
void BM_CallCostOfMetadata(benchmark::State& state) {
  std::vector<std::optional<ClientContext>> contexts(kBatch);
  const auto options = [&contexts](int i) -> CallOptions {
    ClientContext& context = contexts[static_cast<size_t>(i)].emplace();
    return {.timeout = absl::InfiniteDuration(), .context = &context};
  };
  CompareOptions(state, options, [&](int i) -> CallOptions {
    const CallOptions made = options(i);
    (void)made.context->metadata().Add("tenant", "blue");
    (void)made.context->metadata().Add("request-id", "4bf92f3577b34da6a3ce929d");
    return made;
  });
}
BENCHMARK(BM_CallCostOfMetadata)->UseRealTime();

// One interceptor with all hooks, which keeps an object for each call.
template <typename Interceptor, typename StartOf, typename EndOf>
class Counting final : public Interceptor {
  using Call = typename Interceptor::Call;
  struct One final : public Call {
    explicit One(Counting& c) : counting(c) {}
    absl::Status OnMessage(MessageDirection, size_t bytes) override {
      counting.bytes_ += bytes;
      return absl::OkStatus();
    }
    void OnEnd(const EndOf& end) override { counting.failed_ += end.status.ok() ? 0 : 1; }
    Counting& counting;
  };
  absl::StatusOr<std::unique_ptr<Call>> Start(const StartOf&) override {
    return std::make_unique<One>(*this);
  }
  size_t bytes_ = 0;
  size_t failed_ = 0;
};

void CompareInterceptors(benchmark::State& state, ClientInterceptors client,
                         ServerInterceptors server) {
  const auto runtime = OneLoop();
  Pair without(runtime);
  Pair intercepted(runtime, std::move(client), std::move(server));
  if (!without.up() || !intercepted.up()) {
    state.SkipWithError("no connection");
    return;
  }
  EventLoop& loop = *runtime->loops().At(0).loop;
  Sample plain(loop, without, Plain);
  Sample with(loop, intercepted, Plain);
  Compare(state, plain, with);
}

void BM_CallCostOfClientInterceptor(benchmark::State& state) {
  CompareInterceptors(
      state, {std::make_shared<Counting<ClientInterceptor, ClientCallStart, ClientCallEnd>>()}, {});
}
BENCHMARK(BM_CallCostOfClientInterceptor)->UseRealTime();

void BM_CallCostOfServerInterceptor(benchmark::State& state) {
  CompareInterceptors(
      state, {}, {std::make_shared<Counting<ServerInterceptor, ServerCallStart, ServerCallEnd>>()});
}
BENCHMARK(BM_CallCostOfServerInterceptor)->UseRealTime();

// Tells how sound the other figures are: it compares nothing with nothing.
void BM_CallCostOfNothing(benchmark::State& state) { CompareInterceptors(state, {}, {}); }
BENCHMARK(BM_CallCostOfNothing)->UseRealTime();

// Statistics cannot be turned off: this is what a call runs of them, the time itself apart, which
// the reply carries anyway.
void BM_CallCostOfStatistics(benchmark::State& state) {
  MethodStats stats("demo.Greeter/Say");
  constexpr int kAdds = 1000;
  uint64_t nanos = 12'345;
  std::vector<double> cost_ns;
  for (auto _ : state) {
    const MonoTime began = Clock::System().Now();
    for (int i = 0; i < kAdds; ++i) {
      nanos = nanos * 6364136223846793005 + 1;  // another bucket each time, as calls differ
      stats.Add(absl::StatusCode::kOk, Nanos(static_cast<int64_t>((nanos >> 40) & 0xFFFFF)));
    }
    cost_ns.push_back(
        std::chrono::duration<double, std::nano>(Clock::System().Now() - began).count() / kAdds);
  }
  state.counters["cost_ns"] = Median(std::move(cost_ns));
}
BENCHMARK(BM_CallCostOfStatistics);

}  // namespace
}  // namespace weft
