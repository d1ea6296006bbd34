// Calls made inside handlers: they inherit the deadline and the cancelling of the call that is
// served.
#include <stop_token>

#include <gtest/gtest.h>

#include "tests/integration/stack.h"

namespace weft::test {
namespace {

// Serves Where and Hang by blocking calls to another server.
class Relay : public EchoService::Service {
 public:
  explicit Relay(const std::string& target) : channel_(ChannelTo(target)), stub_(*channel_) {}

  absl::Status Where(ServerContext&, WhereRequest& request, WhereReply& reply) override {
    absl::StatusOr<WhereReply> far =
        stub_.Where(request, {.timeout = timeout, .detached = detached});
    if (!far.ok()) return far.status();
    reply = *std::move(far);
    return absl::OkStatus();
  }
  absl::Status Hang(ServerContext&, EchoRequest& request, EchoReply&) override {
    const absl::Status status = stub_.Hang(request, {.timeout = absl::InfiniteDuration()}).status();
    inner.Add(status);
    return status;
  }

  // Later than the deadline of the outer call, unless a test says otherwise.
  absl::Duration timeout = absl::Minutes(5);
  bool detached = false;
  Awaited<absl::Status> inner;

 private:
  std::unique_ptr<Channel> channel_;
  EchoService::Stub stub_;
};

class CoroRelay : public EchoService::CoroService {
 public:
  explicit CoroRelay(const std::string& target) : channel_(ChannelTo(target)), stub_(*channel_) {}

  Coro<absl::Status> Where(ServerContext&, WhereRequest& request, WhereReply& reply) override {
    // Twice, so that the second is made where the coroutine was resumed.
    for (int i = 0; i < 2; ++i) {
      CallOptions options;
      options.timeout = absl::Minutes(5);
      absl::StatusOr<WhereReply> inner = co_await stub_.WhereCoro(request, options);
      if (!inner.ok()) co_return inner.status();
      reply = *std::move(inner);
    }
    co_return absl::OkStatus();
  }

 private:
  std::unique_ptr<Channel> channel_;
  EchoService::Stub stub_;
};

// A caller, a near server that asks a far one, and the far one.
template <typename AnyRelay = Relay>
struct Chain {
  HookedEcho far;
  TestServer far_server{far};
  AnyRelay relay{far_server.target()};
  TestServer near_server{relay};
  std::unique_ptr<Channel> channel = ChannelTo(near_server.target());
  EchoService::Stub stub{*channel};
};

TEST(NestedCalls, EndByTheDeadlineOfTheCallThatIsServed) {
  Chain chain;
  absl::StatusOr<WhereReply> reply =
      chain.stub.Where(WhereRequest(), {.timeout = absl::Seconds(20)});
  ASSERT_EQ(reply.status(), absl::OkStatus());
  EXPECT_LE(reply->remaining_micros(), 20'000'000);
  EXPECT_GT(reply->remaining_micros(), 0);
}

TEST(NestedCalls, KeepTheirOwnDeadlineWhereItIsEarlier) {
  Chain chain;
  chain.relay.timeout = absl::Seconds(15);
  absl::StatusOr<WhereReply> reply =
      chain.stub.Where(WhereRequest(), {.timeout = absl::Minutes(5)});
  ASSERT_EQ(reply.status(), absl::OkStatus());
  EXPECT_LE(reply->remaining_micros(), 15'000'000);
}

TEST(NestedCalls, InheritNothingWhenTheyAreDetached) {
  Chain chain;
  chain.relay.detached = true;
  absl::StatusOr<WhereReply> reply =
      chain.stub.Where(WhereRequest(), {.timeout = absl::Seconds(20)});
  ASSERT_EQ(reply.status(), absl::OkStatus());
  // Five minutes of its own, not the outer call's 20 seconds.
  EXPECT_GT(reply->remaining_micros(), 20'000'000);
}

TEST(NestedCalls, OfACoroutineInheritWhereverItResumes) {
  Chain<CoroRelay> chain;
  absl::StatusOr<WhereReply> reply =
      chain.stub.Where(WhereRequest(), {.timeout = absl::Seconds(20)});
  ASSERT_EQ(reply.status(), absl::OkStatus());
  EXPECT_LE(reply->remaining_micros(), 20'000'000);
}

TEST(NestedCalls, AreCancelledWithTheCallThatIsServed) {
  Chain chain;
  ClientContext context;
  EchoResult result;
  chain.stub.HangAsync(EchoRequest(), {.timeout = absl::InfiniteDuration(), .context = &context},
                       Into(result));
  ASSERT_TRUE(chain.far.hanging.WaitForValue(1));
  context.Cancel();
  EXPECT_EQ(result.Wait().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(chain.relay.inner.Wait().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(chain.far.seen_cancelled.WaitForValue(1));
}

TEST(NestedCalls, AreCancelledWhenTheCallersConnectionIsLost) {
  Chain chain;
  EchoResult result;
  chain.stub.HangAsync(EchoRequest(), {.timeout = absl::InfiniteDuration()}, Into(result));
  ASSERT_TRUE(chain.far.hanging.WaitForValue(1));
  // No deadline, and nobody cancels: the end of the outer call's connection has to be enough.
  chain.channel.reset();
  EXPECT_EQ(result.Wait().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(chain.relay.inner.Wait().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(chain.far.seen_cancelled.WaitForValue(1));
}

// A service whose handlers wait for the stop token of their call.
class TokenEcho : public EchoService::Service {
 public:
  absl::Status Hang(ServerContext& call, EchoRequest&, EchoReply&) override {
    Notification stopped;
    std::stop_callback on_stop(call.stop_token(), [&] { stopped.Notify(); });
    hanging.Update([](int& n) { ++n; });
    if (!stopped.Wait()) return absl::InternalError("nobody stopped this call");
    seen.Update([](int& n) { ++n; });
    return absl::CancelledError();
  }
  Watched<int> hanging{0};
  Watched<int> seen{0};
};

TEST(StopToken, IsStoppedByTheCaller) {
  TokenEcho echo;
  TestServer server(echo);
  std::unique_ptr<Channel> channel = ChannelTo(server.target());
  EchoService::Stub stub(*channel);
  ClientContext context;
  EchoResult result;
  stub.HangAsync(EchoRequest(), {.context = &context}, Into(result));
  ASSERT_TRUE(echo.hanging.WaitForValue(1));
  context.Cancel();
  EXPECT_EQ(result.Wait().status().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(echo.seen.WaitForValue(1));
}

TEST(StopToken, IsStoppedByTheDeadlineThoughNobodySaysSo) {
  TokenEcho echo;
  TestServer server(echo);
  std::unique_ptr<Channel> channel = ChannelTo(server.target());
  EchoService::Stub stub(*channel);
  // Tries longer timeouts until one call reaches its handler in time: a machine may be slow.
  for (absl::Duration timeout = absl::Milliseconds(50); echo.hanging.Get() == 0; timeout *= 2) {
    EXPECT_EQ(stub.Hang(EchoRequest(), {.timeout = timeout}).status().code(),
              absl::StatusCode::kDeadlineExceeded);
  }
  EXPECT_TRUE(echo.seen.WaitFor([&](int seen) { return seen == echo.hanging.Get(); }));
}

TEST(StopToken, OfTheCallerEndsItsCall) {
  HookedEcho echo;
  TestServer server(echo);
  std::unique_ptr<Channel> channel = ChannelTo(server.target());
  EchoService::Stub stub(*channel);
  std::stop_source stop;
  ClientContext context;
  context.CancelOn(stop.get_token());
  EchoResult result;
  stub.HangAsync(EchoRequest(), {.timeout = absl::InfiniteDuration(), .context = &context},
                 Into(result));
  ASSERT_TRUE(echo.hanging.WaitForValue(1));
  stop.request_stop();
  EXPECT_EQ(result.Wait().status().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(echo.seen_cancelled.WaitForValue(1));
}

}  // namespace
}  // namespace weft::test
