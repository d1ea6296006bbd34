// Retries and hedging from generated stubs, over sockets: what is safe is repeated, in the policy's
// bounds, and the losers are cancelled.
#include <atomic>
#include <memory>
#include <string>

#include "tests/integration/stack.h"

namespace weft::test {
namespace {

using absl::StatusCode;
using ::testing::AllOf;
using ::testing::HasSubstr;

ChannelOptions Retrying(int attempts) {
  ChannelOptions options;
  options.retry.attempts = attempts;
  options.retry.backoff = absl::Milliseconds(1);
  options.retry.max_backoff = absl::Milliseconds(1);
  return options;
}

// Fails the first `failures` calls of Echo.
class FlakyEcho : public HookedEcho {
 public:
  explicit FlakyEcho(int failures) : left_(failures) {
    echo = [this](ServerContext& call, EchoRequest& request, EchoReply& reply) {
      if (left_.fetch_sub(1) > 0) {
        if (push_back != absl::InfiniteDuration()) call.RetryAfter(push_back);
        return absl::UnavailableError("not now");
      }
      FillEcho(request, &reply);
      return absl::OkStatus();
    };
  }
  absl::Duration push_back = absl::InfiniteDuration();

 private:
  std::atomic<int> left_;
};

TEST(Retries, RepeatAnIdempotentCallInEveryStyle) {
  HookedEcho service;
  std::atomic<int> calls{0};
  service.echo = [&](ServerContext&, EchoRequest& request, EchoReply& reply) {
    // Every third attempt succeeds: each of the calls below needs three.
    if (calls.fetch_add(1) % 3 < 2) return absl::UnavailableError("not now");
    FillEcho(request, &reply);
    return absl::OkStatus();
  };
  TestServer server(service);
  auto channel = server.Connect(Retrying(3));
  EchoService::Stub stub(*channel);
  ClientContext blocking, callback, coroutine;
  const EchoRequest request = RequestOf("hi");
  absl::StatusOr<EchoReply> reply = stub.Echo(request, {.context = &blocking, .idempotent = true});
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(blocking.attempts(), 3);
  EchoResult result;
  stub.EchoAsync(request, {.context = &callback, .idempotent = true}, Into(result));
  ASSERT_TRUE(result.Wait().ok()) << result.Wait().status();
  EXPECT_EQ(callback.attempts(), 3);
  EchoResult awaited;
  Spawn(
      [](EchoService::Stub& s, EchoResult& r, ClientContext& context) -> Coro<int> {
        const EchoRequest q = RequestOf("hi");
        r.Add(co_await s.EchoCoro(q, {.context = &context, .idempotent = true}));
        co_return 0;
      }(stub, awaited, coroutine),
      [](std::optional<int>, std::exception_ptr) {});
  const absl::StatusOr<EchoReply> third = awaited.Wait();
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_EQ(third->text(), "hi");
  EXPECT_EQ(coroutine.attempts(), 3);
  EXPECT_EQ(channel->counts().retries, 6);
}

TEST(Retries, DoNotRepeatWhatMayHaveBeenExecuted) {
  // A second attempt would succeed.
  FlakyEcho service(1);
  TestServer server(service);
  auto channel = server.Connect(Retrying(3));
  EchoService::Stub stub(*channel);
  const absl::Status status = stub.Echo(RequestOf("hi")).status();
  EXPECT_THAT(status,
              IsStatus(StatusCode::kUnavailable, AllOf(HasSubstr("attempt 1 of 3: not now"),
                                                       HasSubstr("the method is not idempotent"))));
  EXPECT_EQ(service.entered.load(), 1);
}

TEST(Retries, NameTheLastAttempt) {
  FlakyEcho service(100);
  TestServer server(service);
  auto channel = server.Connect(Retrying(3));
  EchoService::Stub stub(*channel);
  EXPECT_THAT(stub.Echo(RequestOf("hi"), {.idempotent = true}).status(),
              IsStatus(StatusCode::kUnavailable,
                       "call weft.test.EchoService/Echo: attempt 3 of 3: not now"));
  EXPECT_EQ(service.entered.load(), 3);
}

TEST(Retries, HonourTheServersPushBack) {
  FlakyEcho service(1);
  // Below zero: the server asks for no further attempt.
  service.push_back = -absl::Seconds(1);
  TestServer server(service);
  auto channel = server.Connect(Retrying(3));
  EchoService::Stub stub(*channel);
  EXPECT_THAT(stub.Echo(RequestOf("hi"), {.idempotent = true}).status(),
              IsStatus(StatusCode::kUnavailable, HasSubstr("the server asks not to")));
  EXPECT_EQ(service.entered.load(), 1);
}

TEST(Retries, OutliveAServerThatIsNotThereYet) {
  // Nothing listens at first: each attempt fails to connect, which is safe to repeat.
  int port;
  {
    HookedEcho unused;
    TestServer probe(unused);
    port = probe->port();
  }
  ChannelOptions options = Retrying(1000);
  options.backoff = absl::Milliseconds(1);
  options.max_backoff = absl::Milliseconds(5);
  // The default of 100 tokens could be used up before the server is there.
  options.retry_budget.tokens = 1'000'000;
  auto channel = ChannelTo(absl::StrCat("127.0.0.1:", port), options);
  EchoService::Stub stub(*channel);
  EchoResult result;
  stub.EchoAsync(RequestOf("hi"), {.timeout = absl::Seconds(30)}, Into(result));
  ASSERT_TRUE(PollUntil([&] { return channel->counts().retries > 0; }));
  HookedEcho service;
  Server server;
  ASSERT_EQ(server.Register(service), absl::OkStatus());
  ASSERT_EQ(server.Start(absl::StrCat("127.0.0.1:", port)), absl::OkStatus());
  ASSERT_TRUE(result.Wait().ok()) << result.Wait().status();
}

TEST(Retries, EndWithTheirChannel) {
  FlakyEcho flaky(1000);
  TestServer server(flaky);
  ChannelOptions options = Retrying(100);
  // A pause that lasts until the channel goes.
  options.retry.backoff = options.retry.max_backoff = absl::Seconds(5);
  auto channel = server.Connect(options);
  EchoService::Stub stub(*channel);
  EchoResult result;
  stub.EchoAsync(RequestOf("hi"), {.timeout = absl::Seconds(60), .idempotent = true}, Into(result));
  ASSERT_TRUE(PollUntil([&] { return flaky.entered.load() > 0; }));
  channel.reset();
  EXPECT_THAT(result.Wait().status(),
              IsStatus(StatusCode::kUnavailable, HasSubstr("attempt 1 of 100")));
  EXPECT_EQ(result.count(), 1u);
}

TEST(Retries, EndWhenTheirCallerCancelsThem) {
  FlakyEcho flaky(1000);
  TestServer server(flaky);
  ChannelOptions options = Retrying(100);
  // A pause that lasts until the caller cancels.
  options.retry.backoff = options.retry.max_backoff = absl::Seconds(5);
  auto channel = server.Connect(options);
  EchoService::Stub stub(*channel);
  EchoResult result;
  ClientContext context;
  stub.EchoAsync(RequestOf("hi"),
                 {.timeout = absl::Seconds(60), .context = &context, .idempotent = true},
                 Into(result));
  ASSERT_TRUE(PollUntil([&] { return flaky.entered.load() > 0; }));
  context.Cancel();
  EXPECT_EQ(result.Wait().status().code(), StatusCode::kCancelled);
}

// ---- Hedging

TEST(Hedging, TakesTheFirstAnswerAndCancelsTheRest) {
  // The first call to come hangs until it is cancelled; the second is answered.
  HookedEcho service;
  std::atomic<int> calls{0};
  Watched<int> cancelled{0};
  service.echo = [&](ServerContext& call, EchoRequest& request, EchoReply& reply) {
    if (calls.fetch_add(1) == 0) {
      EXPECT_TRUE(PollUntil([&] { return call.cancelled(); }));
      cancelled.Update([](int& n) { ++n; });
      return absl::CancelledError("");
    }
    FillEcho(request, &reply);
    return absl::OkStatus();
  };
  TestServer server(service);
  ChannelOptions options;
  options.hedging.attempts = 2;
  options.hedging.delay = absl::Milliseconds(5);
  auto channel = server.Connect(options);
  EchoService::Stub stub(*channel);
  ClientContext context;
  const absl::StatusOr<EchoReply> reply = stub.Echo(
      RequestOf("hi"), {.timeout = absl::Seconds(30), .context = &context, .idempotent = true});
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->text(), "hi");
  EXPECT_EQ(context.attempts(), 2);
  EXPECT_EQ(channel->counts().hedges, 1);
  EXPECT_TRUE(cancelled.WaitForValue(1)) << "the loser is cancelled at the server";
}

TEST(Hedging, LeavesOthersAlone) {
  HookedEcho service;
  TestServer server(service);
  ChannelOptions options;
  options.hedging.attempts = 5;
  options.hedging.delay = absl::ZeroDuration();
  auto channel = server.Connect(options);
  EchoService::Stub stub(*channel);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(stub.Echo(RequestOf("hi")).ok());
  EXPECT_EQ(channel->counts().hedges, 0) << "the method is not idempotent";
  EXPECT_EQ(service.entered.load(), 20);
}

}  // namespace
}  // namespace weft::test
