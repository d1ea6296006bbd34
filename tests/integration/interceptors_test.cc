// Interceptors around calls of channels and servers: in order, once, whatever happens.
#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/integration/stack.h"
#include "weft/rpc/call/interceptor.h"

namespace weft::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Lines = Watched<std::vector<std::string>>;

std::string NameOf(MessageDirection direction, size_t bytes) {
  return absl::StrCat(direction == MessageDirection::kSent ? "sent " : "received ", bytes);
}

enum class Hook { kNone, kStart, kMessage, kEnd };

// Writes down every hook under its name. May refuse or throw in one of them.
struct Script {
  std::string name;
  Lines* lines = nullptr;
  Hook refuse = Hook::kNone;
  Hook fail = Hook::kNone;  // throws

  absl::Status At(Hook hook, const std::string& what) const {
    lines->Update([&](auto& all) { all.push_back(absl::StrCat(name, " ", what)); });
    if (fail == hook) throw std::runtime_error("boom");
    return refuse == hook ? absl::PermissionDeniedError(absl::StrCat("not by ", name))
                          : absl::OkStatus();
  }
};

template <typename Interceptor, typename StartOf, typename EndOf>
class Scripted final : public Interceptor {
 public:
  using Call = typename Interceptor::Call;
  explicit Scripted(Script script) : script_(std::move(script)) {}

  absl::StatusOr<std::unique_ptr<Call>> Start(const StartOf&) override {
    const absl::Status s = script_.At(Hook::kStart, "start");
    if (!s.ok()) return s;
    return std::make_unique<One>(script_);
  }

 private:
  struct One final : public Call {
    explicit One(const Script& s) : script(s) {}
    absl::Status OnMessage(MessageDirection direction, size_t bytes) override {
      return script.At(Hook::kMessage, NameOf(direction, bytes));
    }
    void OnEnd(const EndOf& end) override {
      (void)script.At(Hook::kEnd,
                      absl::StrCat("end ", absl::StatusCodeToString(end.status.code())));
    }
    const Script& script;
  };
  const Script script_;
};

using ClientScript = Scripted<ClientInterceptor, ClientCallStart, ClientCallEnd>;
using ServerScript = Scripted<ServerInterceptor, ServerCallStart, ServerCallEnd>;

std::shared_ptr<ClientInterceptor> OnClient(Script script) {
  return std::make_shared<ClientScript>(std::move(script));
}
std::shared_ptr<ServerInterceptor> OnServer(Script script) {
  return std::make_shared<ServerScript>(std::move(script));
}

// Calls the functions that the test has set.
class Free final : public ClientInterceptor {
 public:
  std::function<void(const ClientCallStart&)> start;
  std::function<void(const ClientCallEnd&)> end;
  absl::StatusOr<std::unique_ptr<Call>> Start(const ClientCallStart& s) override {
    if (start) start(s);
    if (!end) return nullptr;
    return std::make_unique<One>(end);
  }

 private:
  struct One final : public Call {
    explicit One(std::function<void(const ClientCallEnd&)>& f) : end(f) {}
    void OnEnd(const ClientCallEnd& e) override { end(e); }
    std::function<void(const ClientCallEnd&)>& end;
  };
};

class FreeOnServer final : public ServerInterceptor {
 public:
  std::function<absl::Status(const ServerCallStart&)> start;
  std::function<void(const ServerCallEnd&)> end;
  absl::StatusOr<std::unique_ptr<Call>> Start(const ServerCallStart& s) override {
    if (start) {
      if (absl::Status status = start(s); !status.ok()) return status;
    }
    if (!end) return nullptr;
    return std::make_unique<One>(end);
  }

 private:
  struct One final : public Call {
    explicit One(std::function<void(const ServerCallEnd&)>& f) : end(f) {}
    void OnEnd(const ServerCallEnd& e) override { end(e); }
    std::function<void(const ServerCallEnd&)>& end;
  };
};

// Interceptors nest: the first of a list is the outermost.
TEST(Interceptors, StartInOrderSeeMessagesAndEndInReverse) {
  Lines lines;
  HookedEcho service;
  ServerOptions options;
  options.interceptors = {OnServer({"c", &lines}), OnServer({"d", &lines})};
  TestServer server(service, std::move(options));
  ChannelOptions channel_options;
  channel_options.interceptors = {OnClient({"a", &lines}), OnClient({"b", &lines})};
  const auto channel = server.Connect(std::move(channel_options));
  ASSERT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("four")).ok());
  // Rows of the list: the client's way out, the server's way in, its way out, the client's way in.
  // 6 bytes: "four", its tag and its length.
  EXPECT_THAT(lines.Get(), ElementsAre("a start", "b start", "a sent 6", "b sent 6",  //
                                       "c start", "d start", "c received 6", "d received 6",
                                       "c sent 6", "d sent 6", "d end OK", "c end OK",  //
                                       "a received 6", "b received 6", "b end OK", "a end OK"));
}

TEST(Interceptors, OfAChannelMayRefuseACall) {
  Lines lines;
  HookedEcho service;
  TestServer server(service);
  ChannelOptions options;
  options.interceptors = {OnClient({"a", &lines}), OnClient({"b", &lines, Hook::kStart}),
                          OnClient({"c", &lines})};
  const auto channel = server.Connect(std::move(options));
  ClientContext context;
  EXPECT_THAT(EchoService::Stub(*channel).Echo(RequestOf("x"), {.context = &context}).status(),
              IsStatus(absl::StatusCode::kPermissionDenied,
                       AllOf(HasSubstr("not by b"), HasSubstr("weft.test.EchoService/Echo"),
                             HasSubstr(server.target()))));
  EXPECT_FALSE(context.may_have_been_executed());
  EXPECT_EQ(service.entered.load(), 0);
  // "b" refused, so it gets no end; "c" never heard of the call.
  EXPECT_THAT(lines.Get(), ElementsAre("a start", "b start", "a end PERMISSION_DENIED"));
}

TEST(Interceptors, OfAServerMayRefuseACallWhichThenWasNotExecuted) {
  Lines lines;
  HookedEcho service;
  ServerOptions options;
  options.interceptors = {OnServer({"a", &lines}), OnServer({"b", &lines, Hook::kStart}),
                          OnServer({"c", &lines})};
  TestServer server(service, std::move(options));
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  // On a worker, and on the loop.
  for (int i = 0; i < 2; ++i) {
    ClientContext context;
    const absl::Status s = i == 0 ? stub.Echo(RequestOf("x"), {.context = &context}).status()
                                  : stub.EchoInline(RequestOf("x"), {.context = &context}).status();
    EXPECT_THAT(s, IsStatus(absl::StatusCode::kPermissionDenied, HasSubstr("not by b")));
    EXPECT_FALSE(context.may_have_been_executed());
  }
  EXPECT_EQ(service.entered.load(), 0);
  EXPECT_THAT(lines.Get(), ElementsAre("a start", "b start", "a end PERMISSION_DENIED",  //
                                       "a start", "b start", "a end PERMISSION_DENIED"));
}

TEST(Interceptors, MayRefuseAMessage) {
  for (const bool on_server : {false, true}) {
    Lines lines;
    HookedEcho service;
    ServerOptions server_options;
    ChannelOptions options;
    const Script script{"a", &lines, Hook::kMessage};
    if (on_server) {
      server_options.interceptors = {OnServer(script)};
    } else {
      options.interceptors = {OnClient(script)};
    }
    TestServer server(service, std::move(server_options));
    const auto channel = server.Connect(std::move(options));
    ClientContext context;
    EXPECT_THAT(EchoService::Stub(*channel).Echo(RequestOf("x"), {.context = &context}).status(),
                IsStatus(absl::StatusCode::kPermissionDenied, HasSubstr("not by a")));
    EXPECT_FALSE(context.may_have_been_executed());
    EXPECT_EQ(service.entered.load(), 0);
    // 3 bytes: "x", its tag and its length.
    EXPECT_THAT(lines.Get(), ElementsAre("a start", on_server ? "a received 3" : "a sent 3",
                                         "a end PERMISSION_DENIED"));
  }
}

// A call's identity, deadline and metadata are there when a server's interceptor decides.
TEST(Interceptors, OfAServerSeeWhoCallsAndWithWhat) {
  HookedEcho service;
  const auto guard = std::make_shared<FreeOnServer>();
  Watched<std::string> seen;
  guard->start = [&](const ServerCallStart& start) {
    ServerContext& call = start.context;
    seen.Update([&](std::string& s) {
      s = absl::StrCat(std::string(call.method()), " by ", call.identity(), " from ", call.peer(),
                       call.deadline() == absl::InfiniteFuture() ? "" : " in time",
                       call.metadata().Get("tenant").has_value() ? " with a tenant" : "");
    });
    if (call.identity() != "alice") return absl::PermissionDeniedError("alice alone");
    return absl::OkStatus();
  };
  ServerOptions options;
  options.authenticator = [](std::string_view token,
                             const std::string&) -> absl::StatusOr<std::string> {
    return std::string(token.substr(token.find(':') + 1));
  };
  options.interceptors = {guard};
  TestServer server(service, std::move(options));

  ChannelOptions alice;
  alice.auth_token = "token:alice";
  const auto channel = server.Connect(std::move(alice));
  ClientContext context;
  ASSERT_EQ(context.metadata().Add("tenant", "blue"), absl::OkStatus());
  EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x"), {.context = &context}).ok());
  EXPECT_THAT(seen.Get(), AllOf(HasSubstr("weft.test.EchoService/Echo by alice from 127.0.0.1:"),
                                HasSubstr(" in time with a tenant")));

  ChannelOptions mallory;
  mallory.auth_token = "token:mallory";
  const auto other = server.Connect(std::move(mallory));
  EXPECT_THAT(EchoService::Stub(*other).Echo(RequestOf("x")).status(),
              IsStatus(absl::StatusCode::kPermissionDenied, "alice alone"));
  EXPECT_EQ(service.entered.load(), 1);
}

TEST(Interceptors, AddMetadataThatTheHandlerSees) {
  HookedEcho service;
  Watched<std::string> seen;
  service.echo = [&](ServerContext& call, EchoRequest&, EchoReply&) {
    std::string all;
    for (const auto& [key, value] : call.metadata().entries()) {
      absl::StrAppend(&all, key, "=", value, " ");
    }
    seen.Update([&](std::string& s) { s = all; });
    return absl::OkStatus();
  };
  const auto on_server = std::make_shared<FreeOnServer>();
  on_server->start = [](const ServerCallStart& start) {
    return start.metadata.Add("by-server", "3");
  };
  ServerOptions options;
  options.interceptors = {on_server};
  TestServer server(service, std::move(options));

  const auto first = std::make_shared<Free>();
  first->start = [](const ClientCallStart& start) {
    EXPECT_EQ(start.method, "weft.test.EchoService/Echo");
    EXPECT_EQ(start.timeout, absl::Seconds(7));
    EXPECT_EQ(start.metadata.Add("by-first", "1"), absl::OkStatus());
  };
  const auto second = std::make_shared<Free>();
  second->start = [](const ClientCallStart& start) {
    EXPECT_TRUE(start.metadata.Get("by-first").has_value());
    EXPECT_EQ(start.metadata.Add("by-second", "2"), absl::OkStatus());
  };
  ChannelOptions channel_options;
  channel_options.timeout = absl::Seconds(7);
  channel_options.interceptors = {first, second};
  const auto channel = server.Connect(std::move(channel_options));
  EchoService::Stub stub(*channel);
  // The first call waits for the connection, the others go at once; one with metadata of its own.
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(stub.Echo(RequestOf("x")).ok());
    EXPECT_EQ(seen.Get(), "by-first=1 by-second=2 by-server=3 ");
  }
  ClientContext context;
  ASSERT_EQ(context.metadata().Add("own", "0"), absl::OkStatus());
  ASSERT_TRUE(stub.Echo(RequestOf("x"), {.context = &context}).ok());
  EXPECT_EQ(seen.Get(), "own=0 by-first=1 by-second=2 by-server=3 ");
  // Metadata that interceptors add goes out with the call, and not into the caller's own metadata.
  EXPECT_EQ(context.metadata().entries().size(), 1u);
}

TEST(Interceptors, MeasureAndExchangeTrailers) {
  HookedEcho service;
  service.echo = [](ServerContext& call, EchoRequest& request, EchoReply& reply) {
    FillEcho(request, &reply);
    return call.trailers().Add("by-handler", "1");
  };
  const auto on_server = std::make_shared<FreeOnServer>();
  on_server->end = [](const ServerCallEnd& end) {
    EXPECT_EQ(end.status, absl::OkStatus());
    // The elapsed time begins when the request came, so it contains the handler's.
    EXPECT_GE(end.elapsed, end.handler_time);
    EXPECT_GE(end.handler_time, absl::ZeroDuration());
    EXPECT_EQ(end.volume.received_messages, 1u);
    EXPECT_EQ(end.volume.sent_messages, 1u);
    EXPECT_EQ(end.volume.received_bytes, RequestOf("four").ByteSizeLong());
    EXPECT_EQ(end.volume.sent_bytes, RequestOf("four").ByteSizeLong());
    // The end hook runs before the answer leaves, so this still goes with it.
    EXPECT_EQ(end.trailers.Add("by-server", "2"), absl::OkStatus());
  };
  ServerOptions options;
  options.interceptors = {on_server};
  TestServer server(service, std::move(options));

  std::atomic<int> ends{0};
  const auto on_client = std::make_shared<Free>();
  on_client->end = [&](const ClientCallEnd& end) {
    ends.fetch_add(1);
    EXPECT_EQ(end.status, absl::OkStatus());
    EXPECT_EQ(end.trailers.Get("by-handler"), "1");
    EXPECT_EQ(end.trailers.Get("by-server"), "2");
    EXPECT_GT(end.elapsed, absl::ZeroDuration());
    EXPECT_TRUE(end.may_have_been_executed);
    EXPECT_EQ(end.volume.sent_bytes, RequestOf("four").ByteSizeLong());
    EXPECT_EQ(end.volume.received_bytes, RequestOf("four").ByteSizeLong());
  };
  ChannelOptions channel_options;
  channel_options.interceptors = {on_client};
  const auto channel = server.Connect(std::move(channel_options));
  ClientContext context;
  ASSERT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("four"), {.context = &context}).ok());
  EXPECT_EQ(context.trailers().Get("by-server"), "2");
  EXPECT_EQ(ends.load(), 1);
}

// Counts what both sides see of calls.
struct Counted {
  std::atomic<int> client_starts{0}, client_ends{0}, server_starts{0};
  Watched<int> server_ends{0};
  Watched<std::vector<absl::Status>> statuses;

  ClientInterceptors client() {
    auto made = std::make_shared<Free>();
    made->start = [this](const ClientCallStart&) { client_starts.fetch_add(1); };
    made->end = [this](const ClientCallEnd& end) {
      client_ends.fetch_add(1);
      statuses.Update([&](auto& all) { all.push_back(end.status); });
    };
    return {made};
  }
  ServerInterceptors server() {
    auto made = std::make_shared<FreeOnServer>();
    made->start = [this](const ServerCallStart&) {
      server_starts.fetch_add(1);
      return absl::OkStatus();
    };
    made->end = [this](const ServerCallEnd&) { server_ends.Update([](int& n) { ++n; }); };
    return {made};
  }
};

TEST(Interceptors, SeeTheEndOfACallOnceHoweverItEnds) {
  Counted counted;
  HookedEcho service;
  ServerOptions server_options;
  server_options.interceptors = counted.server();
  std::optional<TestServer> server(std::in_place, service, std::move(server_options));
  ChannelOptions options;
  options.interceptors = counted.client();
  const auto channel = server->Connect(std::move(options));
  EchoService::Stub stub(*channel);
  // The ends in the order in which the calls below come to them: one after the other, so the list
  // is exact.
  std::vector<absl::StatusCode> ended;

  EXPECT_TRUE(stub.Echo(RequestOf("a reply")).ok());
  ended.push_back(absl::StatusCode::kOk);

  FailRequest fail;
  fail.set_code(static_cast<int>(absl::StatusCode::kAborted));
  EXPECT_THAT(stub.Fail(fail).status(), HasCode(absl::StatusCode::kAborted));
  ended.push_back(absl::StatusCode::kAborted);

  EXPECT_THAT(stub.Throw(fail).status(), HasCode(absl::StatusCode::kUnknown));
  ended.push_back(absl::StatusCode::kUnknown);

  EXPECT_THAT(stub.Hang(RequestOf("deadline"), {.timeout = absl::Milliseconds(20)}).status(),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  ended.push_back(absl::StatusCode::kDeadlineExceeded);

  EXPECT_THAT(stub.Echo(RequestOf("too late"), {.timeout = absl::Milliseconds(-1)}).status(),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  ended.push_back(absl::StatusCode::kDeadlineExceeded);
  // The next steps count handlers that hang, so this one has to be gone.
  EXPECT_TRUE(service.hanging.WaitFor([](int n) { return n == 0; }));

  {
    ClientContext context;
    EchoResult result;
    stub.HangAsync(RequestOf("cancel"), {.context = &context}, Into(result));
    EXPECT_TRUE(service.hanging.WaitFor([](int n) { return n == 1; }));
    context.Cancel();
    EXPECT_THAT(result.Wait().status(), HasCode(absl::StatusCode::kCancelled));
    ended.push_back(absl::StatusCode::kCancelled);
    EXPECT_TRUE(service.hanging.WaitFor([](int n) { return n == 0; }));
  }
  {
    // Nobody holds this call to its end: only the interceptor hears of it.
    const CoroCall<EchoReply> dropped = stub.HangCoro(RequestOf("dropped"));
    EXPECT_TRUE(service.hanging.WaitFor([](int n) { return n == 1; }));
  }
  ended.push_back(absl::StatusCode::kCancelled);
  EXPECT_TRUE(service.hanging.WaitFor([](int n) { return n == 0; }));

  EchoResult lost;
  stub.HangAsync(RequestOf("lost"), {}, Into(lost));
  EXPECT_TRUE(service.hanging.WaitFor([](int n) { return n == 1; }));
  // Read before Stop: calls after it do not come to a handler.
  const int64_t served = service.entered.load();
  (*server)->Stop(absl::ZeroDuration());
  EXPECT_FALSE(lost.Wait().ok());
  ended.push_back(lost.Wait().status().code());
  server.reset();
  EXPECT_THAT(stub.Echo(RequestOf("nobody there")).status(),
              HasCode(absl::StatusCode::kUnavailable));
  ended.push_back(absl::StatusCode::kUnavailable);

  EXPECT_TRUE(
      counted.statuses.WaitFor([&](const auto& all) { return all.size() >= ended.size(); }));
  std::vector<absl::StatusCode> codes;
  for (const absl::Status& s : counted.statuses.Get()) codes.push_back(s.code());
  EXPECT_EQ(codes, ended);
  EXPECT_EQ(counted.client_starts.load(), static_cast<int>(ended.size()));
  EXPECT_EQ(counted.client_ends.load(), static_cast<int>(ended.size()));
  // Two of the calls never came to the server: one was out of time, one had no connection.
  EXPECT_EQ(counted.server_starts.load(), served);
  EXPECT_EQ(counted.server_ends.Get(), served);
}

TEST(Interceptors, SeeTheEndOfCallsThatEndWithTheirChannel) {
  Counted counted;
  HookedEcho service;
  TestServer server(service);
  EchoResult under_way, waiting;
  {
    ChannelOptions options;
    options.interceptors = counted.client();
    const auto channel = server.Connect(options);
    EchoService::Stub stub(*channel);
    stub.HangAsync(RequestOf("under way"), {.timeout = absl::InfiniteDuration()}, Into(under_way));
    EXPECT_TRUE(service.hanging.WaitFor([](int n) { return n == 1; }));
    // A call that waits for a server that never comes, until the channel goes.
    const auto nowhere = ChannelTo("unix:/nowhere/at/all", options);
    EchoService::Stub(*nowhere).EchoAsync(
        RequestOf("waiting"), {.timeout = absl::InfiniteDuration(), .wait_for_ready = true},
        Into(waiting));
  }
  EXPECT_THAT(under_way.Wait().status(), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(waiting.Wait().status(), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_EQ(counted.client_starts.load(), 2);
  EXPECT_EQ(counted.client_ends.load(), 2);
}

TEST(Interceptors, SeeACallThatIsTriedAgainAsOne) {
  for (const bool hedged : {false, true}) {
    Counted counted;
    HookedEcho service;
    std::atomic<int> handled{0};
    service.echo = [&](ServerContext& call, EchoRequest&, EchoReply&) {
      EXPECT_EQ(call.metadata().Get("by-interceptor"), "1");
      return handled.fetch_add(1) < 2 ? absl::UnavailableError("not now") : absl::OkStatus();
    };
    TestServer server(service);
    ChannelOptions options;
    options.interceptors = counted.client();
    const auto adding = std::make_shared<Free>();
    adding->start = [](const ClientCallStart& start) {
      EXPECT_EQ(start.metadata.Add("by-interceptor", "1"), absl::OkStatus());
    };
    options.interceptors.push_back(adding);
    if (hedged) {
      options.hedging.attempts = 3;
      options.hedging.delay = absl::Milliseconds(1);
    } else {
      options.retry.attempts = 3;
      options.retry.backoff = absl::Milliseconds(1);
      options.retry.max_backoff = absl::Milliseconds(1);
    }
    const auto channel = server.Connect(std::move(options));
    EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x"), {.idempotent = true}).ok());
    // Three attempts by either policy: a hedge that fails starts the next one at once.
    EXPECT_EQ(handled.load(), 3);
    EXPECT_EQ(counted.client_starts.load(), 1);
    EXPECT_EQ(counted.client_ends.load(), 1);
  }
}

TEST(Interceptors, SeeCallsOfEveryKindOfHandler) {
  Counted counted;
  ServerOptions options;
  options.interceptors = counted.server();
  AnsweringEcho async;
  CoroutineEcho coro;
  {
    TestServer server(async, options);
    const auto channel = server.Connect();
    EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("async")).ok());
  }
  // The server has stopped, so the end has been told.
  EXPECT_EQ(counted.server_ends.Get(), 1);
  {
    TestServer server(coro, options);
    const auto channel = server.Connect();
    EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("coro")).ok());
  }
  EXPECT_EQ(counted.server_ends.Get(), 2);
  EXPECT_EQ(counted.server_starts.load(), 2);
}

TEST(Interceptors, ThatThrowEndTheCallWithAnError) {
  for (const bool on_server : {false, true}) {
    for (const Hook hook : {Hook::kStart, Hook::kMessage, Hook::kEnd}) {
      Lines lines, other;
      HookedEcho service;
      ServerOptions server_options;
      ChannelOptions options;
      Script throwing{"t", &lines};
      throwing.fail = hook;
      // Stands around the one that throws, and has to hear of the end all the same.
      const Script calm{"c", &other};
      if (on_server) {
        server_options.interceptors = {OnServer(calm), OnServer(throwing)};
      } else {
        options.interceptors = {OnClient(calm), OnClient(throwing)};
      }
      TestServer server(service, std::move(server_options));
      const auto channel = server.Connect(std::move(options));
      ClientContext context;
      const auto r = EchoService::Stub(*channel).Echo(RequestOf("x"), {.context = &context});
      EXPECT_THAT(r.status(), IsStatus(absl::StatusCode::kUnknown,
                                       AllOf(HasSubstr("an interceptor of the "),
                                             HasSubstr(on_server ? "server" : "channel"),
                                             HasSubstr(" threw: boom"))));
      // Only the end comes after the handler.
      EXPECT_EQ(context.may_have_been_executed(), hook == Hook::kEnd);
      EXPECT_EQ(service.entered.load(), hook == Hook::kEnd ? 1 : 0);
      EXPECT_EQ(other.Get().back(), "c end UNKNOWN");
    }
  }
}

TEST(Interceptors, ThatWantNoMoreOfACallAreNotAsked) {
  HookedEcho service;
  // Without functions their Start returns no Call, and nothing more is told to them.
  const auto indifferent = std::make_shared<FreeOnServer>();
  const auto on_client = std::make_shared<Free>();
  ServerOptions server_options;
  server_options.interceptors = {indifferent, indifferent};
  TestServer server(service, std::move(server_options));
  ChannelOptions options;
  options.interceptors = {on_client, on_client};
  const auto channel = server.Connect(std::move(options));
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x")).ok());
  }
}

// Many at once, with every ending, on a pool of workers.
TEST(Interceptors, CountEveryOneOfManyCalls) {
  Counted counted;
  HookedEcho service;
  ServerOptions server_options;
  server_options.interceptors = counted.server();
  server_options.io_threads = 2;
  TestServer server(service, std::move(server_options));
  ChannelOptions options;
  options.interceptors = counted.client();
  const auto channel = server.Connect(std::move(options));
  EchoService::Stub stub(*channel);
  constexpr int kCalls = 400;
  EchoResult results;
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&] {
      for (int i = 0; i < kCalls / 4; ++i) {
        // A third is short enough to end anywhere: before it is sent, in the server's queue, or not
        // at all.
        const absl::Duration timeout = i % 3 == 0 ? absl::Microseconds(200) : absl::Seconds(10);
        stub.EchoAsync(RequestOf("x"), {.timeout = timeout}, Into(results));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  results.WaitForAll(kCalls);
  EXPECT_EQ(counted.client_starts.load(), kCalls);
  EXPECT_EQ(counted.client_ends.load(), kCalls);
  // Calls that their callers gave up may still be served. Stop waits for them.
  server->Stop(absl::Seconds(5));
  EXPECT_EQ(counted.server_ends.Get(), counted.server_starts.load());
}

}  // namespace
}  // namespace weft::test
