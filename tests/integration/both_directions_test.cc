// Calls in both directions over one connection: handlers call back their caller.
#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "tests/integration/stack.h"
#include "tests/protos/rows.weft.h"
#include "weft/core/manual_clock.h"

namespace weft::test {
namespace {

using testing::HasSubstr;

// Replies with what the caller's own service says.
class CallingBack : public EchoService::Service {
 public:
  absl::Status Echo(ServerContext& call, EchoRequest& request, EchoReply& reply) override {
    EchoService::Stub back(*call.caller());
    const absl::StatusOr<EchoReply> said = back.EchoInline(RequestOf("back: " + request.text()));
    if (!said.ok()) return said.status();
    reply.set_text(said->text());
    return absl::OkStatus();
  }
  // Keeps the caller for later.
  absl::Status EchoIdempotent(ServerContext& call, EchoRequest&, EchoReply&) override {
    kept = call.caller();
    return absl::OkStatus();
  }
  // Streams from its caller's service.
  absl::Status Hang(ServerContext& call, EchoRequest&, EchoReply& reply) override {
    RowQuery query;
    query.set_rows(100);
    auto rows = Rows::Stub(*call.caller()).List(query);
    Row row;
    int64_t count = 0;
    while (rows.Read(&row)) ++count;
    reply.set_number(count);
    return rows.Finish();
  }

  // Written on a worker, read by the test once the reply of that call is there.
  std::shared_ptr<CallTarget> kept;
};

class Listing : public Rows::Service {
 public:
  absl::Status List(ServerContext&, RowQuery& query, ServerWriter<Row>& rows) override {
    Row row;
    for (int64_t i = 0; i < query.rows(); ++i) {
      row.set_number(i);
      if (!rows.Write(row)) break;
    }
    return absl::OkStatus();
  }
  // Ends when its caller's messages do, so a caller's own error is the first end of the call.
  absl::Status Add(ServerContext&, ServerReader<Row>& rows, RowSum&) override {
    Row row;
    while (rows.Read(&row)) {
    }
    return absl::OkStatus();
  }
};

class BothDirections : public testing::Test {
 protected:
  ChannelOptions Offering(std::vector<weft::Service*> services) {
    ChannelOptions options;
    options.services = std::move(services);
    return options;
  }

  CallingBack calling_back;
  TestServer server{calling_back};
  HookedEcho own;
  Listing listing;
};

TEST_F(BothDirections, HandlerCallsItsCaller) {
  const auto channel = server.Connect(Offering({&own}));
  const absl::StatusOr<EchoReply> reply = EchoService::Stub(*channel).Echo(RequestOf("hi"));
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->text(), "back: hi");
  // No second connection was dialled to call the caller.
  EXPECT_EQ(server->connections().accepted, 1);
}

TEST_F(BothDirections, CallerWithoutServicesSaysSo) {
  const auto channel = server.Connect();
  const absl::Status s = EchoService::Stub(*channel).Echo(RequestOf("hi")).status();
  EXPECT_TRUE(absl::IsUnimplemented(s)) << s;
  EXPECT_THAT(std::string(s.message()), HasSubstr("offers no services"));
}

TEST_F(BothDirections, CallerMayBeCalledAfterItsCall) {
  auto channel = server.Connect(Offering({&own}));
  ASSERT_TRUE(EchoService::Stub(*channel).EchoIdempotent(RequestOf("")).ok());
  EchoService::Stub back(*calling_back.kept);
  for (int i = 0; i < 100; ++i) {
    const absl::StatusOr<EchoReply> reply = back.Echo(RequestOf("later"));
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->text(), "later");
  }
  channel.reset();
  const absl::Status s = back.Echo(RequestOf("too late")).status();
  EXPECT_TRUE(absl::IsUnavailable(s)) << s;
}

// The channel's limits stay the channel's when the server calls over its connection.
TEST_F(BothDirections, ErrorsOfLimitsNameTheSideThatDialled) {
  ChannelOptions options = Offering({&own, &listing});
  options.limits.max_message_bytes = 2000;
  const auto channel = server.Connect(std::move(options));
  ASSERT_TRUE(EchoService::Stub(*channel).EchoIdempotent(RequestOf("")).ok());
  EchoService::Stub back(*calling_back.kept);
  // 3,003: the text, its tag, and its length of two bytes.
  EXPECT_THAT(back.Echo(RequestOf(std::string(3000, 'x'))).status(),
              IsStatus(absl::StatusCode::kResourceExhausted,
                       HasSubstr("the request of 3003 bytes is over the limit of 2000 "
                                 "(max_message_bytes of the channel)")));
  own.echo = [](ServerContext&, EchoRequest&, EchoReply& reply) {
    reply.set_text(std::string(3000, 'x'));
    return absl::OkStatus();
  };
  EXPECT_THAT(back.Echo(RequestOf("x")).status(),
              IsStatus(absl::StatusCode::kResourceExhausted,
                       HasSubstr("the reply of 3003 bytes is over the limit of 2000 "
                                 "(max_message_bytes of the channel)")));
  Rows::Stub rows(*calling_back.kept);
  auto adding = rows.Add();
  Row row;
  row.set_text(std::string(3000, 'x'));
  // A write that fails at once: the channel's Hello has said by now how much it takes.
  EXPECT_FALSE(adding.Write(row));
  EXPECT_THAT(adding.Finish().status(), IsStatus(absl::StatusCode::kResourceExhausted,
                                                 HasSubstr("(max_message_bytes of the channel)")));
}

TEST_F(BothDirections, StreamsToo) {
  ChannelOptions options = Offering({&own, &listing});
  const auto channel = server.Connect(std::move(options));
  const absl::StatusOr<EchoReply> reply = EchoService::Stub(*channel).Hang(RequestOf(""));
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->number(), 100);
}

TEST(BothDirectionsByAClock, DeadlineOfTheOuterCallEndsTheInnerOne) {
  // The service that is called back never answers by itself.
  class Hanging : public EchoService::Service {
   public:
    absl::Status EchoInline(ServerContext& call, EchoRequest&, EchoReply&) override {
      time_left.Set(call.time_left());
      ended_by_its_caller.Set(PollUntil([&] { return call.cancelled(); }));
      return absl::CancelledError("gave up");
    }
    Watched<absl::Duration> time_left{absl::ZeroDuration()};
    Watched<bool> ended_by_its_caller{false};
  } hanging;
  CallingBack calling_back;
  ManualClock clock;
  // The inner call has no timeout of its own, so nothing but what it inherits can end it.
  ServerOptions options;
  options.runtime = RuntimeOf({.clock = &clock});
  options.calls.timeout = absl::InfiniteDuration();
  TestServer server(calling_back, std::move(options));
  EchoResult outer;
  const auto channel =
      server.Connect({.runtime = RuntimeOf({.clock = &clock}), .services = {&hanging}});
  EchoService::Stub(*channel).EchoAsync(RequestOf(""), {.timeout = absl::Minutes(1)}, Into(outer));
  ASSERT_TRUE(hanging.time_left.WaitFor([](absl::Duration d) { return d > absl::ZeroDuration(); }));
  EXPECT_LE(hanging.time_left.Get(), absl::Minutes(1));
  clock.Advance(absl::Minutes(1));
  EXPECT_THAT(outer.Wait().status(), HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_TRUE(hanging.ended_by_its_caller.WaitForValue(true));
}

TEST_F(BothDirections, ChannelWaitsForItsHandlers) {
  class Slow : public EchoService::Service {
   public:
    absl::Status Echo(ServerContext& call, EchoRequest&, EchoReply&) override {
      entered.Update([](bool& e) { e = true; });
      while (!call.cancelled()) std::this_thread::yield();
      left.store(true);
      return absl::OkStatus();
    }
    Watched<bool> entered{false};
    std::atomic<bool> left{false};
  } slow;
  auto channel = server.Connect(Offering({&slow}));
  ASSERT_TRUE(EchoService::Stub(*channel).EchoIdempotent(RequestOf("")).ok());
  EchoResult result;
  EchoService::Stub back(*calling_back.kept);
  back.EchoAsync(RequestOf(""), {}, Into(result));
  ASSERT_TRUE(slow.entered.WaitFor([](bool e) { return e; }));
  // The destructor cancels the handler and returns only when it has left the service, which the
  // test may destroy next.
  channel.reset();
  EXPECT_TRUE(slow.left.load());
  EXPECT_TRUE(absl::IsUnavailable(result.Wait().status()));
}

// A server whose handlers' calls to their callers have options.
class CallingOptions : public testing::Test {
 protected:
  void Connect(StartOptions calls) {
    ServerOptions options;
    options.calls = std::move(calls);
    server = std::make_unique<TestServer>(calling_back, std::move(options));
    channel = server->Connect({.services = {&own}});
    // The handler keeps the way back, which stays open after its call.
    ASSERT_TRUE(EchoService::Stub(*channel).EchoIdempotent(RequestOf("")).ok());
    back = std::make_unique<EchoService::Stub>(*calling_back.kept);
  }

  CallingBack calling_back;
  HookedEcho own;
  std::unique_ptr<TestServer> server;
  std::unique_ptr<Channel> channel;
  std::unique_ptr<EchoService::Stub> back;
};

TEST_F(CallingOptions, TriesAgain) {
  std::atomic<int> calls{0};
  own.echo = [&](ServerContext&, EchoRequest& request, EchoReply& reply) {
    if (calls.fetch_add(1) < 2) return absl::UnavailableError("not yet");
    FillEcho(request, &reply);
    return absl::OkStatus();
  };
  StartOptions options;
  options.retry.attempts = 3;
  options.retry.backoff = absl::Milliseconds(1);
  Connect(options);
  ClientContext context;
  const absl::StatusOr<EchoReply> reply =
      back->Echo(RequestOf("hi"), {.context = &context, .idempotent = true});
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(context.attempts(), 3);
}

TEST_F(CallingOptions, HasItsOwnTimeout) {
  StartOptions options;
  options.timeout = absl::Milliseconds(50);
  Connect(options);
  EXPECT_THAT(back->Hang(RequestOf("")).status(), HasCode(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(CallingOptions, RunsInterceptors) {
  class Refusing final : public ClientInterceptor {
   public:
    absl::StatusOr<std::unique_ptr<Call>> Start(const ClientCallStart&) override {
      return absl::PermissionDeniedError("by the interceptor");
    }
  };
  StartOptions options;
  options.interceptors = {std::make_shared<Refusing>()};
  Connect(options);
  EXPECT_THAT(back->Echo(RequestOf("")).status(), HasCode(absl::StatusCode::kPermissionDenied));
  EXPECT_EQ(own.entered.load(), 0);
}

TEST_F(CallingOptions, EndsAtOnceWhenItsOneConnectionHasGone) {
  StartOptions options;
  // An hour, so that a call that waits or tries again cannot end within the test's time.
  options.retry.attempts = 5;
  options.retry.backoff = absl::Hours(1);
  Connect(options);
  channel.reset();
  ASSERT_TRUE(PollUntil([&] { return (*server)->connections().open == 0; }));
  // Neither waiting for the other side nor trying again would bring it back.
  for (const bool wait : {false, true}) {
    const absl::Status s =
        back->Echo(RequestOf(""), {.timeout = absl::Hours(1), .wait_for_ready = wait}).status();
    EXPECT_THAT(s, IsStatus(absl::StatusCode::kUnavailable,
                            HasSubstr("the connection has ended, or takes no more calls")));
  }
}

}  // namespace
}  // namespace weft::test
