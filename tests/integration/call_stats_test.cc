// A channel counts its calls by method, over sockets and in memory, from several threads at once.
#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/protos/rows.weft.h"
#include "weft/core/in_process_network.h"
#include "weft/core/manual_clock.h"

namespace weft::test {
namespace {

CallStatsSnapshot StatsOf(const Channel& channel, std::string_view method) {
  for (CallStatsSnapshot& stats : channel.Stats()) {
    if (stats.method == method) return std::move(stats);
  }
  return {};
}

int64_t MeasuredOf(const CallStatsSnapshot& stats) {
  return std::accumulate(stats.latency.begin(), stats.latency.end(), int64_t{0});
}

constexpr char kEcho[] = "weft.test.EchoService/Echo";
constexpr char kFail[] = "weft.test.EchoService/Fail";
constexpr char kHang[] = "weft.test.EchoService/Hang";

FailRequest Failing(absl::StatusCode code) {
  FailRequest request;
  request.set_code(static_cast<int>(code));
  return request;
}

// Calls in every style from several threads: when one has its reply, the call is counted.
void CallFromManyThreads(Channel& channel) {
  constexpr int kThreads = 4, kCalls = 200;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&channel] {
      EchoService::Stub stub(channel);
      EchoResult result;
      for (int i = 0; i < kCalls; ++i) {
        stub.EchoAsync(RequestOf("x"), {}, Into(result));
        EXPECT_TRUE(stub.Echo(RequestOf("x")).ok());
        EXPECT_THAT(stub.Fail(Failing(absl::StatusCode::kAborted)).status(),
                    HasCode(absl::StatusCode::kAborted));
        // Starts and ends are counted by different threads meanwhile. A snapshot may lack the last
        // of them, but never shows an end without its start.
        for (const CallStatsSnapshot& stats : channel.Stats()) EXPECT_GE(stats.in_flight, 0);
      }
      result.WaitForAll(kCalls);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const CallStatsSnapshot echo = StatsOf(channel, kEcho), fail = StatsOf(channel, kFail);
  EXPECT_EQ(echo.started, 2 * kThreads * kCalls);
  EXPECT_EQ(echo.calls, 2 * kThreads * kCalls);
  EXPECT_EQ(echo.errors(), 0);
  EXPECT_EQ(echo.in_flight, 0);
  // Each end stands in the histogram once.
  EXPECT_EQ(MeasuredOf(echo), echo.calls);
  EXPECT_EQ(fail.calls, kThreads * kCalls);
  EXPECT_EQ(fail.by_code[static_cast<size_t>(absl::StatusCode::kAborted)], fail.calls);
  // Only methods that were called are there.
  EXPECT_EQ(channel.Stats().size(), 2u);
}

TEST(CallStatistics, CountEveryCallOverSockets) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  CallFromManyThreads(*channel);
}

TEST(CallStatistics, CountEveryCallInMemory) {
  HookedEcho service;
  const auto network = InProcessNetwork::Create();
  Server server(ServerOptions{.network = network});
  ASSERT_EQ(server.Register(service), absl::OkStatus());
  ASSERT_EQ(server.Start("inproc:s"), absl::OkStatus());
  const auto channel = ChannelTo("inproc:s", {.network = network});
  CallFromManyThreads(*channel);
}

TEST(CallStatistics, SayWhatIsUnderWayAndHowLongItTook) {
  AnsweringEcho service;
  TestServer server(service);
  ManualClock clock;
  const auto channel = server.Connect({.runtime = RuntimeOf({.clock = &clock})});
  EchoService::Stub stub(*channel);
  EXPECT_TRUE(channel->Stats().empty());
  EchoResult result;
  for (int i = 0; i < 3; ++i) {
    stub.HangAsync(RequestOf("x"), {.timeout = absl::InfiniteDuration()}, Into(result));
  }
  ASSERT_TRUE(service.hanging.WaitForValue(3));
  EXPECT_EQ(StatsOf(*channel, kHang).in_flight, 3);
  EXPECT_EQ(StatsOf(*channel, kHang).calls, 0);
  // The client's clock measures. The server's own goes on as always.
  clock.Advance(std::chrono::seconds(5));
  service.Release();
  result.WaitForAll(3);
  const CallStatsSnapshot stats = StatsOf(*channel, kHang);
  EXPECT_EQ(stats.in_flight, 0);
  EXPECT_EQ(stats.by_code[0], 3);
  EXPECT_EQ(stats.latency[MethodStats::BucketOf(std::chrono::seconds(5))], 3);
}

TEST(CallStatistics, CountCallsThatNeverLeftAndThoseGivenUp) {
  AnsweringEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  // A deadline that has passed: the call ends before it is sent, and counts nevertheless.
  EXPECT_FALSE(stub.Echo(RequestOf("late"), {.timeout = absl::Nanoseconds(-1)}).ok());
  EchoResult result;
  ClientContext context;
  stub.HangAsync(RequestOf("x"), {.context = &context}, Into(result));
  ASSERT_TRUE(service.hanging.WaitForValue(1));
  context.Cancel();
  EXPECT_FALSE(result.Wait().ok());
  const CallStatsSnapshot echo = StatsOf(*channel, kEcho), hang = StatsOf(*channel, kHang);
  EXPECT_EQ(echo.by_code[static_cast<size_t>(absl::StatusCode::kDeadlineExceeded)], 1);
  EXPECT_EQ(hang.by_code[static_cast<size_t>(absl::StatusCode::kCancelled)], 1);
  EXPECT_EQ(echo.in_flight + hang.in_flight, 0);
  service.Release();
}

TEST(CallStatistics, ACallOfSeveralAttemptsIsOneCall) {
  HookedEcho service;
  std::atomic<int> left{2};
  service.echo = [&left](ServerContext&, EchoRequest& request, EchoReply& reply) {
    if (left.fetch_sub(1) > 0) return absl::UnavailableError("not now");
    FillEcho(request, &reply);
    return absl::OkStatus();
  };
  TestServer server(service);
  ChannelOptions options;
  options.retry.attempts = 3;
  options.retry.backoff = options.retry.max_backoff = absl::Milliseconds(1);
  const auto channel = server.Connect(std::move(options));
  EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x"), {.idempotent = true}).ok());
  const CallStatsSnapshot stats = StatsOf(*channel, kEcho);
  EXPECT_EQ(stats.started, 1);
  EXPECT_EQ(stats.by_code[0], 1);
  EXPECT_EQ(stats.retries, 2);
  EXPECT_EQ(stats.hedges, 0);
}

class CountedRows : public Rows::Service {
 public:
  absl::Status Add(ServerContext&, ServerReader<Row>& rows, RowSum& sum) override {
    Row row;
    while (rows.Read(&row)) sum.set_rows(sum.rows() + 1);
    return absl::OkStatus();
  }
  absl::Status List(ServerContext&, RowQuery& query, ServerWriter<Row>& rows) override {
    for (int64_t i = 0; i < query.rows(); ++i) {
      if (!rows.Write(Row())) break;
    }
    return absl::NotFoundError("no more");
  }
};

TEST(CallStatistics, CountAStreamAsOneCall) {
  CountedRows service;
  TestServer server(service);
  const auto channel = server.Connect();
  Rows::Stub rows(*channel);
  auto adding = rows.Add();
  EXPECT_TRUE(adding.Write(Row()));
  // The call counts from its start, which is before its first message.
  EXPECT_EQ(StatsOf(*channel, "weft.test.Rows/Add").in_flight, 1);
  EXPECT_TRUE(adding.Write(Row()));
  const absl::StatusOr<RowSum> sum = adding.Finish();
  ASSERT_TRUE(sum.ok()) << sum.status();
  EXPECT_EQ(sum->rows(), 2);
  RowQuery query;
  query.set_rows(3);
  auto listing = rows.List(query);
  Row row;
  while (listing.Read(&row)) {
  }
  EXPECT_THAT(listing.Finish(), HasCode(absl::StatusCode::kNotFound));
  const CallStatsSnapshot add = StatsOf(*channel, "weft.test.Rows/Add");
  const CallStatsSnapshot list = StatsOf(*channel, "weft.test.Rows/List");
  EXPECT_EQ(add.started, 1);
  EXPECT_EQ(add.by_code[0], 1);
  EXPECT_EQ(list.by_code[static_cast<size_t>(absl::StatusCode::kNotFound)], 1);
  EXPECT_EQ(add.in_flight + list.in_flight, 0);
}

}  // namespace
}  // namespace weft::test
