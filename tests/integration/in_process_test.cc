// The whole stack over memory instead of sockets, with faults.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/integration/stack.h"
#include "weft/core/in_process_network.h"
#include "weft/core/manual_clock.h"

namespace weft::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kAddress[] = "inproc:store";

// A server and a channel on one network; each with threads of its own.
class InProcessTest : public testing::Test {
 protected:
  void Begin(InProcessNetworkOptions options = {}, ServerOptions server = {}) {
    network_ = InProcessNetwork::Create(std::move(options));
    server.network = network_;
    server_ = std::make_unique<Server>(std::move(server));
    ASSERT_EQ(server_->Register(service_), absl::OkStatus());
    ASSERT_EQ(server_->Start(kAddress), absl::OkStatus());
  }
  std::unique_ptr<Channel> Connect(ChannelOptions options = {}) {
    options.network = network_;
    return ChannelTo(kAddress, std::move(options));
  }

  HookedEcho service_;
  std::shared_ptr<InProcessNetwork> network_;
  std::unique_ptr<Server> server_;
};

TEST_F(InProcessTest, CallsTravelThroughMemoryInAllStyles) {
  Begin();
  const std::unique_ptr<Channel> channel = Connect();
  EchoService::Stub stub(*channel);
  const absl::StatusOr<EchoReply> blocking = stub.Echo(RequestOf("one"));
  ASSERT_EQ(blocking.status(), absl::OkStatus());
  EXPECT_EQ(blocking->text(), "one");
  EchoResult result;
  stub.EchoAsync(RequestOf("two"), {}, Into(result));
  const absl::StatusOr<EchoReply> later = result.Wait();
  ASSERT_EQ(later.status(), absl::OkStatus());
  EXPECT_EQ(later->text(), "two");
  EXPECT_EQ(network_->connections(), std::vector<uint64_t>{0});
  EXPECT_EQ(server_->addresses(), std::vector<std::string>{kAddress});
  EXPECT_EQ(server_->port(), 0);
}

TEST_F(InProcessTest, LargeMessagesPassThroughSmallBuffersOneByteAWrite) {
  InProcessNetworkOptions options;
  options.buffer_bytes = 1 << 10;
  options.faults = [](uint64_t) {
    ConnectionFaults faults;
    faults.to_listener.max_write = 1;
    faults.to_dialer.max_write = 1;
    faults.to_dialer.max_read = 7;
    return faults;
  };
  Begin(options);
  const std::unique_ptr<Channel> channel = Connect();
  const EchoRequest request = PayloadOf(200'000);
  const absl::StatusOr<EchoReply> reply = EchoService::Stub(*channel).Echo(request);
  ASSERT_EQ(reply.status(), absl::OkStatus());
  EXPECT_EQ(reply->payload(), request.payload());
}

TEST_F(InProcessTest, ANameWithoutANetworkOrAListenerSaysSo) {
  Begin();
  EXPECT_THAT(Channel::Create(kAddress).status(),
              IsStatus(absl::StatusCode::kInvalidArgument,
                       HasSubstr("needs an in-process network (ChannelOptions::network)")));
  Server other;
  EXPECT_THAT(other.Start(kAddress), IsStatus(absl::StatusCode::kInvalidArgument,
                                              HasSubstr("it needs an in-process network")));
  Server second({.network = network_});
  EXPECT_THAT(second.Start(kAddress), HasCode(absl::StatusCode::kAlreadyExists));
  const auto channel = ChannelTo("inproc:elsewhere", {.network = network_});
  EXPECT_THAT(EchoService::Stub(*channel).Echo(RequestOf("x")).status(),
              IsStatus(absl::StatusCode::kUnavailable,
                       HasSubstr("connect: nobody listens there (to inproc:elsewhere)")));
}

TEST_F(InProcessTest, ServesSocketsAndNamesAtOnce) {
  Begin();
  ASSERT_EQ(server_->Start("127.0.0.1:0"), absl::OkStatus());
  const auto near = Connect();
  const auto far = ChannelTo(absl::StrCat("127.0.0.1:", server_->port()));
  EXPECT_TRUE(EchoService::Stub(*near).Echo(RequestOf("near")).ok());
  EXPECT_TRUE(EchoService::Stub(*far).Echo(RequestOf("far")).ok());
  EXPECT_EQ(server_->connections().accepted, 2);
}

TEST_F(InProcessTest, ACutConnectionSaysThatTheCallMayHaveBeenExecuted) {
  Begin();
  const auto channel = Connect();
  EchoResult result;
  ClientContext context;
  EchoService::Stub(*channel).HangAsync(RequestOf("x"), {.context = &context}, Into(result));
  ASSERT_TRUE(service_.hanging.WaitForValue(1));
  EXPECT_TRUE(network_->Cut(0));
  EXPECT_THAT(result.Wait().status(),
              IsStatus(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("(to inproc:store, after"), HasSubstr("reset"),
                             HasSubstr("the request was sent and may have been executed"))));
  EXPECT_TRUE(context.may_have_been_executed());
  EXPECT_TRUE(service_.seen_cancelled.WaitForValue(1));
  // The next call has a new connection.
  EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("y"), {.wait_for_ready = true}).ok());
  EXPECT_EQ(network_->dialled(), 2u);
}

TEST_F(InProcessTest, ACallThatNeverLeftIsCertainlyNotExecuted) {
  InProcessNetworkOptions options;
  options.faults = [](uint64_t) { return ConnectionFaults{.refused = true}; };
  Begin(options);
  const auto channel = Connect();
  ClientContext context;
  EXPECT_THAT(EchoService::Stub(*channel).Echo(RequestOf("x"), {.context = &context}).status(),
              IsStatus(absl::StatusCode::kUnavailable,
                       HasSubstr("connect: refused by a fault (to inproc:store)")));
  EXPECT_FALSE(context.may_have_been_executed());
  EXPECT_EQ(service_.entered.load(), 0);
}

TEST_F(InProcessTest, ACutInsideTheRequestEndsTheCallAndTheHandlerNeverSeesIt) {
  InProcessNetworkOptions options;
  // The first connection alone, so that the second call gets through.
  options.faults = [](uint64_t connection) {
    ConnectionFaults faults;
    if (connection == 0) faults.to_listener.cut_at = 50'000;
    return faults;
  };
  Begin(options);
  const auto channel = Connect();
  EXPECT_THAT(EchoService::Stub(*channel).Echo(PayloadOf(100'000)).status(),
              HasCode(absl::StatusCode::kUnavailable));
  EXPECT_EQ(service_.entered.load(), 0);
  EXPECT_TRUE(EchoService::Stub(*channel).Echo(PayloadOf(100'000), {.wait_for_ready = true}).ok());
}

// A request that the peer has not taken yet goes out all the same, before the news of its
// cancelling: an inline handler executes it.
TEST_F(InProcessTest, AQueuedRequestThatIsGivenUpMayBeExecutedLater) {
  Begin({.buffer_bytes = 1 << 10});
  const auto channel = Connect();
  EchoService::Stub stub(*channel);
  ASSERT_TRUE(stub.Echo(RequestOf("x")).ok());
  ASSERT_TRUE(network_->Hold(0));
  EchoResult filler, cancelled, expired;
  // More than the pipe takes: what follows waits in this side's output.
  stub.EchoAsync(PayloadOf(10'000), {}, Into(filler));
  ClientContext cancelled_context, expired_context;
  stub.EchoInlineAsync(RequestOf("x"), {.context = &cancelled_context}, Into(cancelled));
  cancelled_context.Cancel();
  EXPECT_THAT(cancelled.Wait().status(), HasCode(absl::StatusCode::kCancelled));
  stub.EchoInlineAsync(RequestOf("x"),
                       {.timeout = absl::Milliseconds(1), .context = &expired_context},
                       Into(expired));
  EXPECT_THAT(expired.Wait().status(),
              IsStatus(absl::StatusCode::kDeadlineExceeded, HasSubstr("still waited to be sent")));
  EXPECT_TRUE(cancelled_context.may_have_been_executed());
  EXPECT_TRUE(expired_context.may_have_been_executed());
  ASSERT_TRUE(network_->Release(0));
  EXPECT_TRUE(filler.Wait().ok());
}

// Both sides go by a clock that the test moves.
class InProcessTimeTest : public InProcessTest {
 protected:
  void Begin(InProcessNetworkOptions options = {}, SessionLimits limits = {}) {
    runtime_ = RuntimeOf({.clock = &clock_});
    InProcessTest::Begin(std::move(options), {.runtime = runtime_, .limits = limits});
    channel_ = Connect({.runtime = runtime_, .limits = limits});
  }
  ~InProcessTimeTest() override {
    channel_.reset();
    server_.reset();
    runtime_.reset();
  }

  ManualClock clock_;
  std::shared_ptr<Runtime> runtime_;
  std::unique_ptr<Channel> channel_;
};

TEST_F(InProcessTimeTest, ADeadlineComesWhenTheClockIsMovedToIt) {
  Begin();
  EchoResult result;
  EchoService::Stub(*channel_).HangAsync(RequestOf("x"), {.timeout = absl::Hours(1)}, Into(result));
  ASSERT_TRUE(service_.hanging.WaitForValue(1));
  clock_.Advance(absl::Hours(1) - absl::Milliseconds(1));
  EXPECT_EQ(result.count(), 0u);
  clock_.Advance(absl::Milliseconds(2));
  EXPECT_THAT(result.Wait().status(),
              IsStatus(absl::StatusCode::kDeadlineExceeded, HasSubstr("no reply within 3600000")));
  EXPECT_TRUE(service_.seen_cancelled.WaitForValue(1));
}

TEST_F(InProcessTimeTest, SilenceIsNoticedByHeartbeatsAndByNothingElse) {
  SessionLimits limits;
  limits.heartbeat_interval = absl::Seconds(10);
  limits.heartbeat_misses = 2;
  Begin({}, limits);
  EchoService::Stub stub(*channel_);
  ASSERT_TRUE(stub.Echo(RequestOf("x")).ok());
  EchoResult result;
  ClientContext context;
  stub.HangAsync(RequestOf("x"), {.timeout = absl::InfiniteDuration(), .context = &context},
                 Into(result));
  ASSERT_TRUE(service_.hanging.WaitForValue(1));
  // A pulled cable: no byte and no close arrives any more.
  const ConnectionFaults pulled{.to_listener = {.drop_from = 0}, .to_dialer = {.drop_from = 0}};
  ASSERT_TRUE(network_->Change(0, pulled));
  // An interval of 10 s without a sign, then two misses, and up to a tenth of an interval more: the
  // connection must live after 20 s and be over after 40 s.
  for (int i = 0; i < 2; ++i) clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(result.count(), 0u);
  for (int i = 0; i < 2; ++i) clock_.Advance(absl::Seconds(10));
  EXPECT_THAT(result.Wait().status(),
              IsStatus(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("silent for"), HasSubstr("may have been executed"))));
  EXPECT_TRUE(context.may_have_been_executed());
  // The server's side notices by itself.
  EXPECT_TRUE(service_.seen_cancelled.WaitForValue(1));
  EXPECT_EQ(server_->closed(CloseReason::kSilent), 1);
}

TEST_F(InProcessTimeTest, BytesThatAreDelayedArriveWhenTheClockSaysSo) {
  InProcessNetworkOptions options;
  options.faults = [](uint64_t) {
    ConnectionFaults faults;
    faults.to_dialer.delay = absl::Seconds(1);
    return faults;
  };
  Begin(options);
  EchoResult result;
  EchoService::Stub(*channel_).EchoAsync(RequestOf("late"), {}, Into(result));
  // Two delays, one behind the other: that of the server's Hello, and that of its answer.
  ASSERT_TRUE(PollUntil([&] {
    clock_.Advance(absl::Milliseconds(100));
    return result.count() == 1;
  }));
  EXPECT_EQ(result.Wait()->text(), "late");
}

TEST_F(InProcessTimeTest, AServerStopsWhileNobodyMovesTheClock) {
  Begin();
  ASSERT_TRUE(EchoService::Stub(*channel_).Echo(RequestOf("x")).ok());
  server_->Stop();
  EXPECT_EQ(server_->connections().open, 0);
}

}  // namespace
}  // namespace weft::test
