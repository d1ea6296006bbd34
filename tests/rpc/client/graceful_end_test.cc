// Calls that cross the end of their connection, because a server stops gracefully: it takes them,
// whatever their size, so that nobody need have kept anything to send again.
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/protos/echo.weft.h"
#include "tests/protos/rows.weft.h"
#include "tests/rpc/protocol/native/held_echo.h"
#include "tests/support/watched.h"
#include "weft/core/coro.h"
#include "weft/core/in_process_network.h"
#include "weft/core/manual_clock.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

namespace weft::test {
namespace {

class SummingRows final : public Rows::Service {
 public:
  absl::Status Add(ServerContext&, ServerReader<Row>& rows, RowSum& sum) override {
    Row row;
    while (rows.Read(&row)) {
      sum.set_rows(sum.rows() + 1);
      sum.set_bytes(sum.bytes() + static_cast<int64_t>(row.data().size()));
    }
    return absl::OkStatus();
  }
};

// A server in the process, and a channel whose bytes arrive when the test says so.
class GracefulEnd : public ::testing::Test {
 protected:
  GracefulEnd() : network_(InProcessNetwork::Create({.buffer_bytes = size_t{4} << 20})) {
    // The server's: a second passes when the test says so, which it never does.
    RuntimeOptions runtime;
    runtime.clock = &clock_;
    runtime.worker_threads = 2;
    runtime.log_level = LogLevel::kOff;
    ServerOptions options;
    options.runtime = *Runtime::Create(std::move(runtime));
    options.network = network_;
    options.limits.stream_window_bytes = options.limits.connection_window_bytes = size_t{2} << 20;
    options.on_connection = [this](const ConnectionEvent& event) {
      if (event.state == ConnectionState::kGoingAway) going_away_.Notify();
    };
    server_ = std::make_unique<Server>(std::move(options));
    EXPECT_TRUE(server_->Register(echo_).ok());
    EXPECT_TRUE(server_->Register(rows_).ok());
    EXPECT_TRUE(server_->Start("inproc:graceful").ok());
    ChannelOptions channel;
    channel.runtime = QuietRuntime();
    channel.network = network_;
    channel_ = *Channel::Create("inproc:graceful", std::move(channel));
    stub_ = std::make_unique<EchoService::Stub>(*channel_);
    EXPECT_TRUE(stub_->Echo(EchoRequest()).ok());
    // From here on nothing that the channel sends arrives, until the server has begun to stop.
    EXPECT_TRUE(network_->Hold(0));
  }
  // Calls that the channel has sent until here cross the server's GOAWAY.
  void StopTheServer() {
    stopper_ = std::thread([this] { server_->Stop(absl::Hours(1)); });
    EXPECT_TRUE(going_away_.Wait());
    EXPECT_TRUE(network_->Release(0));
  }
  ~GracefulEnd() override {
    if (stopper_.joinable()) stopper_.join();
  }

  static EchoRequest Large(int number) {
    EchoRequest request;
    request.set_number(number);
    // Far more than a call keeps to be sent again: refused by a GOAWAY, it would fail.
    request.set_payload(std::string(64 << 10, 'p'));
    return request;
  }

  ManualClock clock_;
  const std::shared_ptr<InProcessNetwork> network_;
  HeldEcho echo_;
  SummingRows rows_;
  Notification going_away_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<EchoService::Stub> stub_;
  std::thread stopper_;
};

constexpr int kCalls = 16;

TEST_F(GracefulEnd, IsNotSeenByCallbacksOfLargeRequests) {
  Watched<std::vector<absl::Status>> ends;
  for (int i = 0; i < kCalls; ++i) {
    stub_->EchoAsync(Large(i), {.timeout = absl::InfiniteDuration()},
                     [&ends, i](absl::StatusOr<EchoReply> reply) {
                       const bool its = !reply.ok() || reply->number() == i;
                       EXPECT_TRUE(its) << "the reply of another call";
                       ends.Update([&](auto& all) { all.push_back(reply.status()); });
                     });
  }
  StopTheServer();
  ASSERT_TRUE(ends.WaitFor([](const auto& all) { return all.size() == kCalls; }));
  for (const absl::Status& status : ends.Get()) EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(channel_->counts().resent, 0);
}

TEST_F(GracefulEnd, IsNotSeenByCoroutinesWithLargeRequests) {
  Watched<std::vector<absl::Status>> ends;
  const auto call = [&](int i) -> Coro<int> {
    const EchoRequest request = Large(i);
    CallOptions options;
    options.timeout = absl::InfiniteDuration();
    absl::StatusOr<EchoReply> reply = co_await stub_->EchoCoro(request, options);
    ends.Update([&](auto& all) { all.push_back(reply.status()); });
    co_return i;
  };
  for (int i = 0; i < kCalls; ++i) {
    Spawn(call(i), [](std::optional<int>, std::exception_ptr) {});
  }
  StopTheServer();
  ASSERT_TRUE(ends.WaitFor([](const auto& all) { return all.size() == kCalls; }));
  for (const absl::Status& status : ends.Get()) EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(channel_->counts().resent, 0);
}

TEST_F(GracefulEnd, IsNotSeenByAStreamThatHasWrittenMoreThanItKeeps) {
  // 400,000 bytes: more than a stream keeps, and less than its window, so that no credit is needed.
  constexpr int kRows = 20;
  constexpr int64_t kBytes = 20'000;
  Rows::Stub stub(*channel_);
  ClientContext context;
  ClientWriter<Row, RowSum> adding =
      stub.Add({.timeout = absl::InfiniteDuration(), .context = &context});
  Row row;
  row.set_data(std::string(kBytes, 'r'));
  for (int i = 0; i < kRows; ++i) ASSERT_TRUE(adding.Write(row)) << i;
  StopTheServer();
  // It goes on where it is.
  ASSERT_TRUE(adding.Write(row));
  const absl::StatusOr<RowSum> sum = adding.Finish();
  ASSERT_TRUE(sum.ok()) << sum.status();
  EXPECT_EQ(sum->rows(), kRows + 1);
  EXPECT_EQ(sum->bytes(), (kRows + 1) * kBytes);
  EXPECT_EQ(context.attempts(), 1);
}

}  // namespace
}  // namespace weft::test
