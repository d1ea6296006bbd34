// Connections that cannot be made, are lost, or go with their channel: what calls are told.
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/stack.h"
#include "weft/core/loop_group.h"
#include "weft/core/socket.h"

namespace weft::test {

using namespace internal;

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr absl::Duration kForever = absl::InfiniteDuration();

Socket ListenOn(const std::string& target, int backlog = 16) {
  const auto address = SocketAddress::Parse(target);
  EXPECT_TRUE(address.ok()) << address.status();
  auto socket = Socket::Listen(*address, backlog);
  EXPECT_TRUE(socket.ok()) << socket.status();
  return *std::move(socket);
}

// A channel that, once an attempt has failed, stays so for the test's time.
ChannelOptions OneAttempt() {
  ChannelOptions options;
  options.backoff = absl::Hours(1);
  options.max_backoff = absl::Hours(1);
  return options;
}

// ---- Errors of connecting

TEST(Connecting, RefusedNamesPeerPhaseErrnoAndTime) {
  std::string target;
  {
    // A port that was free a moment ago: nobody listens there when the call comes.
    const Socket gone = ListenOn("127.0.0.1:0");
    target = gone.LocalAddress()->ToString();
  }
  const auto channel = ChannelTo(target, OneAttempt());
  EchoService::Stub stub(*channel);
  ClientContext context;
  EXPECT_THAT(stub.Echo(RequestOf("x"), {.context = &context}).status(),
              IsStatus(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("call weft.test.EchoService/Echo: connect: "),
                             HasSubstr("(to " + target + ", after"),
                             HasSubstr("Connection refused"), HasSubstr(" ms)"))));
  EXPECT_FALSE(context.may_have_been_executed());
}

TEST(Connecting, AUnixPathThatIsNotThere) {
  const auto channel = ChannelTo("unix:/nowhere/at/all", OneAttempt());
  EXPECT_THAT(
      EchoService::Stub(*channel).Echo(RequestOf("x")).status(),
      IsStatus(absl::StatusCode::kUnavailable, AllOf(HasSubstr("(to unix:/nowhere/at/all, after"),
                                                     HasSubstr("No such file or directory"))));
}

TEST(Connecting, CallsBetweenAttemptsFailFastAndMakeNone) {
  const auto channel = ChannelTo("unix:/nowhere/at/all", OneAttempt());
  EchoService::Stub stub(*channel);
  constexpr int kThreads = 4, kCalls = 500;
  EchoResult results;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kCalls; ++i) {
        stub.EchoAsync(RequestOf("x"), {.timeout = kForever}, Into(results));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& reply : results.WaitForAll(kThreads * kCalls)) {
    EXPECT_THAT(reply.status(), HasCode(absl::StatusCode::kUnavailable));
  }
  EXPECT_THAT(stub.Echo(RequestOf("x")).status(),
              IsStatus(absl::StatusCode::kUnavailable, HasSubstr("next attempt in ")));
  // Calls that wait for a server do not hurry it either.
  EchoResult waiting;
  std::vector<std::unique_ptr<ClientContext>> contexts;
  for (int i = 0; i < 100; ++i) {
    contexts.push_back(std::make_unique<ClientContext>());
    stub.EchoAsync(RequestOf("x"),
                   {.timeout = kForever, .context = contexts.back().get(), .wait_for_ready = true},
                   Into(waiting));
  }
  // These calls would wait for ever: no attempt is made within the test's time.
  for (const auto& context : contexts) context->Cancel();
  waiting.WaitForAll(100);
  // The attempt of the first call, and none since.
  EXPECT_EQ(channel->counts().failed_connects, 1);
  EXPECT_EQ(channel->counts().connects, 0);
}

TEST(Connecting, AnUnknownHostIsAStatusWithinTheTimeForConnecting) {
  // A name that is reserved and never resolves. Where no name server answers, the timeout ends the
  // attempt.
  ChannelOptions options = OneAttempt();
  options.connect_timeout = absl::Milliseconds(300);
  const auto channel = ChannelTo("no-such-host.invalid:7", std::move(options));
  EXPECT_THAT(EchoService::Stub(*channel).Echo(RequestOf("x"), {.timeout = kForever}).status(),
              IsStatus(absl::StatusCode::kUnavailable, HasSubstr("resolve no-such-host.invalid")));
}

TEST(Connecting, NoRoomInTheListenersBacklogEndsByTheTimeout) {
  const Socket listener = ListenOn("127.0.0.1:0", 0);
  const auto address = listener.LocalAddress();
  std::vector<Socket> fill;
  for (int i = 0; i < 4; ++i) {
    bool connected = false;
    fill.push_back(*Socket::StartConnect(*address, &connected));
  }
  // The kernel takes connections until there is no room; only then is the next one left waiting.
  ChannelOptions options = OneAttempt();
  options.connect_timeout = absl::Milliseconds(50);
  const auto channel = ChannelTo(address->ToString(), std::move(options));
  EXPECT_THAT(EchoService::Stub(*channel).Echo(RequestOf("x"), {.timeout = kForever}).status(),
              IsStatus(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr(address->ToString()), HasSubstr("no answer"))));
}

TEST(Connecting, APeerThatSaysNothingEndsByTheTimeout) {
  TempDir dir;
  const std::string target = absl::StrCat("unix:", dir.path(), "/s");
  const Socket listener = ListenOn(target);
  ChannelOptions options = OneAttempt();
  options.connect_timeout = absl::Milliseconds(50);
  const auto channel = ChannelTo(target, std::move(options));
  EXPECT_THAT(EchoService::Stub(*channel).Echo(RequestOf("x"), {.timeout = kForever}).status(),
              IsStatus(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr(target), HasSubstr("handshake"), HasSubstr("no Hello"))));
}

TEST(Connecting, APeerThatClosesDuringTheHandshake) {
  TempDir dir;
  const std::string target = absl::StrCat("unix:", dir.path(), "/s");
  const Socket listener = ListenOn(target);
  const auto channel = ChannelTo(target, OneAttempt());
  EchoResult result;
  EchoService::Stub(*channel).EchoAsync(RequestOf("x"), {.timeout = kForever}, Into(result));
  // The accepted socket is closed at the end of this expression.
  ASSERT_TRUE(PollUntil(
      [&] { return Socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC)).valid(); }));
  EXPECT_THAT(result.Wait().status(), IsStatus(absl::StatusCode::kUnavailable,
                                               AllOf(HasSubstr(target), HasSubstr("handshake"))));
}

TEST(Connecting, APeerThatSpeaksSomethingElse) {
  TempDir dir;
  const std::string target = absl::StrCat("unix:", dir.path(), "/s");
  const Socket listener = ListenOn(target);
  const auto channel = ChannelTo(target, OneAttempt());
  EchoResult result;
  EchoService::Stub(*channel).EchoAsync(RequestOf("x"), {.timeout = kForever}, Into(result));
  Socket peer;
  ASSERT_TRUE(PollUntil([&] {
    peer = Socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
    return peer.valid();
  }));
  ASSERT_EQ(::send(peer.fd(), "HTTP/1.1 400 Bad Request\r\n\r\n", 28, MSG_NOSIGNAL), 28);
  EXPECT_THAT(result.Wait().status(),
              IsStatus(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("wrong preface"), HasSubstr("HTTP/1.1 400"))));
}

// ---- Waiting for the connection

TEST(Waiting, CallsGoOutInTheOrderInWhichTheyCame) {
  HookedEcho service;
  std::vector<int64_t> order;  // by the one I/O thread
  service.echo = [&](ServerContext&, EchoRequest& request, EchoReply&) {
    order.push_back(request.number());
    return absl::OkStatus();
  };
  const auto runtime = RuntimeOf();
  TestServer server(service, ServerOptions{.runtime = runtime});
  Notification all_wait;
  // Holds the server's only loop: no handshake is answered before all of them wait.
  runtime->loops().At(0).loop->Post([&](TaskFate) { EXPECT_TRUE(all_wait.Wait()); });
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EchoResult results;
  for (int i = 0; i < 200; ++i) {
    EchoRequest request;
    request.set_number(i);
    stub.EchoInlineAsync(request, {.timeout = kForever}, Into(results));
  }
  all_wait.Notify();
  for (const auto& reply : results.WaitForAll(200)) EXPECT_TRUE(reply.ok()) << reply.status();
  // No handler runs behind Stop, so `order` may be read.
  server->Stop();
  ASSERT_EQ(order.size(), 200u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(channel->counts().connects, 1);
}

TEST(Waiting, ConnectMayComeBeforeTheFirstCall) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  channel->Connect();
  EXPECT_TRUE(PollUntil([&] { return channel->counts().connects == 1; }));
  EXPECT_EQ(service.entered.load(), 0);
  channel->Connect();
  EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x")).ok());
  EXPECT_EQ(channel->counts().connects, 1);
}

// ---- Coming back

class Restarted : public testing::TestWithParam<Family> {};

TEST_P(Restarted, ServerIsFoundAgain) {
  HookedEcho service;
  TempDir dir;
  std::string target = ListenAddressOf(GetParam(), dir);
  std::unique_ptr<Channel> channel;
  ChannelOptions options;
  options.backoff = absl::Milliseconds(1);
  options.max_backoff = absl::Milliseconds(5);
  for (int i = 0; i < 4; ++i) {
    Server server;
    ASSERT_TRUE(server.Register(service).ok());
    ASSERT_EQ(server.Start(target), absl::OkStatus());
    // The port of the first life is asked for again in the later ones.
    target = server.addresses()[0];
    if (channel == nullptr) channel = ChannelTo(target, options);
    EchoService::Stub stub(*channel);
    // A call right after the restart may still fail: the client does not know yet that its
    // connection has gone.
    EXPECT_TRUE(PollUntil([&] { return stub.Echo(RequestOf("x")).ok(); }));
  }
  EXPECT_GE(channel->counts().connects, 4);
}

INSTANTIATE_TEST_SUITE_P(Families, Restarted,
                         testing::Values(Family::kTcp4, Family::kTcp6, Family::kUnix),
                         [](const auto& p) { return NameOf(p.param); });

// ---- Losing it

TEST(LostConnection, SaysWhetherTheRequestWasSent) {
  TempDir dir;
  const std::string target = absl::StrCat("unix:", dir.path(), "/s");
  AnsweringEcho service;
  Server server;
  ASSERT_TRUE(server.Register(service).ok());
  ASSERT_TRUE(server.Start(target).ok());
  const auto channel = ChannelTo(target, OneAttempt());
  EchoService::Stub stub(*channel);
  EchoResult result;
  ClientContext context;
  stub.HangAsync(RequestOf("x"), {.timeout = kForever, .context = &context}, Into(result));
  ASSERT_TRUE(service.hanging.WaitForValue(1));
  // On a thread of its own: Stop waits for the responder that the service still holds.
  std::thread stopper([&] { server.Stop(absl::ZeroDuration()); });
  EXPECT_THAT(result.Wait().status(),
              IsStatus(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("call weft.test.EchoService/Hang: "),
                             HasSubstr("(to " + target + ", after "),
                             HasSubstr("was sent and may have been executed"))));
  EXPECT_TRUE(context.may_have_been_executed());
  service.Release();
  stopper.join();
}

TEST(LostConnection, BehindAPeerThatReadsNothingMeansNotSent) {
  TempDir dir;
  const std::string target = absl::StrCat("unix:", dir.path(), "/s");
  HookedEcho service;
  service.echo = [&](ServerContext&, EchoRequest&, EchoReply&) {
    EXPECT_TRUE(service.release.Wait());  // inline: the server's only loop does nothing else
    return absl::OkStatus();
  };
  Server server;
  ASSERT_TRUE(server.Register(service).ok());
  ASSERT_TRUE(server.Start(target).ok());
  auto channel = ChannelTo(target, OneAttempt());
  EchoService::Stub stub(*channel);
  EchoResult first;
  stub.EchoInlineAsync(RequestOf("holds the loop"), {.timeout = kForever}, Into(first));
  ASSERT_TRUE(PollUntil([&] { return service.entered.load() == 1; }));
  // More than the kernel's buffers hold.
  ConsumeRequest large;
  large.set_payload(Pattern(4 << 20));
  Awaited<absl::Status> second, third;
  ClientContext large_context, small_context;
  stub.ConsumeAsync(large, {.timeout = kForever, .context = &large_context},
                    [&](absl::StatusOr<ConsumeReply> r) { second.Add(r.status()); });
  stub.EchoAsync(RequestOf("behind it"), {.timeout = kForever, .context = &small_context},
                 [&](absl::StatusOr<EchoReply> r) { third.Add(r.status()); });
  EXPECT_THAT(stub.Echo(RequestOf("x"), {.timeout = absl::Milliseconds(10)}).status(),
              IsStatus(absl::StatusCode::kDeadlineExceeded, HasSubstr("still waited to be sent")));
  channel.reset();
  // A part of the large request has left, and nothing of the one behind it.
  EXPECT_THAT(second.Wait(), IsStatus(absl::StatusCode::kUnavailable,
                                      HasSubstr("was sent and may have been executed")));
  EXPECT_TRUE(large_context.may_have_been_executed());
  EXPECT_THAT(third.Wait(), IsStatus(absl::StatusCode::kUnavailable, HasSubstr("was not sent")));
  EXPECT_FALSE(small_context.may_have_been_executed());
  EXPECT_THAT(first.Wait().status(), HasCode(absl::StatusCode::kUnavailable));
  service.release.Notify();
}

// ---- Channels that go

TEST(DestroyedChannel, EndsItsCallsFirst) {
  AnsweringEcho service;
  TestServer server(service);
  auto channel = server.Connect();
  EchoResult results;
  for (int i = 0; i < 10; ++i) {
    EchoService::Stub(*channel).HangAsync(RequestOf("x"), {.timeout = kForever}, Into(results));
  }
  ASSERT_TRUE(service.hanging.WaitForValue(10));
  channel.reset();
  // The destructor has returned, so all callbacks have run.
  EXPECT_EQ(results.count(), 10u);
  for (const auto& reply : results.WaitForAll(10)) {
    EXPECT_THAT(reply.status(),
                IsStatus(absl::StatusCode::kUnavailable, HasSubstr("the channel was closed")));
  }
  service.Release();
}

TEST(DestroyedChannel, WhileItConnects) {
  TempDir dir;
  const std::string target = absl::StrCat("unix:", dir.path(), "/s");
  const Socket listener = ListenOn(target, 100);
  EchoResult results;
  for (int i = 0; i < 20; ++i) {
    auto channel = ChannelTo(target);
    EchoService::Stub(*channel).EchoAsync(RequestOf("x"), {.timeout = kForever}, Into(results));
    // Half of them go when their connection waits in the backlog, half when this end has closed it.
    if (i % 2 == 0) {
      ASSERT_TRUE(PollUntil([&] {
        return Socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC)).valid();
      }));
    }
  }
  EXPECT_EQ(results.count(), 20u);
  // A name is looked up when this one goes.
  auto channel = ChannelTo("no-such-host.invalid:7");
  EchoService::Stub(*channel).EchoAsync(RequestOf("x"), {.timeout = kForever}, Into(results));
  channel.reset();
  EXPECT_EQ(results.count(), 21u);
}

TEST(DestroyedChannel, UnusedOrJustUsed) {
  HookedEcho service;
  TestServer server(service);
  for (int i = 0; i < 20; ++i) {
    const auto channel = server.Connect();
    if (i % 3 == 1) channel->Connect();
    if (i % 3 == 2) {
      EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x")).ok());
    }
  }
  EXPECT_TRUE(PollUntil([&] { return server->connections().open == 0; }));
}

// With a runtime of its own, whose last reference then goes on its own I/O thread, and with one
// that others use.
class InItsCallback : public testing::TestWithParam<bool> {
 protected:
  std::shared_ptr<Runtime> runtime_ = RuntimeOf();
  ChannelOptions Options() {
    ChannelOptions options = OneAttempt();
    if (GetParam()) options.runtime = runtime_;
    return options;
  }
};

TEST_P(InItsCallback, AChannelMayGoWhenACallHasEnded) {
  HookedEcho service;
  TestServer server(service);
  for (int i = 0; i < 10; ++i) {
    auto channel = server.Connect(Options());
    Channel* const raw = channel.get();
    Notification gone;
    EchoService::Stub stub(*raw);
    stub.EchoAsync(RequestOf("first"), {.timeout = kForever},
                   [&, own = std::move(channel)](absl::StatusOr<EchoReply> r) mutable {
                     EXPECT_TRUE(r.ok()) << r.status();
                     own.reset();
                     gone.Notify();
                   });
    ASSERT_TRUE(gone.Wait());
  }
  EXPECT_TRUE(PollUntil([&] { return server->connections().open == 0; }));
}

TEST_P(InItsCallback, AChannelMayGoWithOtherCallsUnderWay) {
  AnsweringEcho service;
  TestServer server(service);
  auto channel = server.Connect(Options());
  EchoService::Stub stub(*channel);
  EchoResult others;
  for (int i = 0; i < 5; ++i) {
    stub.HangAsync(RequestOf("x"), {.timeout = kForever}, Into(others));
  }
  ASSERT_TRUE(service.hanging.WaitForValue(5));
  Notification gone;
  stub.EchoAsync(RequestOf("x"), {.timeout = kForever}, [&](absl::StatusOr<EchoReply>) {
    channel.reset();  // begins, and returns
    gone.Notify();
  });
  ASSERT_TRUE(gone.Wait());
  for (const auto& reply : others.WaitForAll(5)) EXPECT_TRUE(absl::IsUnavailable(reply.status()));
  service.Release();
}

TEST_P(InItsCallback, AChannelMayGoWhenItCannotConnect) {
  // An error of the kernel at once, a refusal by the peer's machine, and a name without an address.
  for (const std::string target : {"unix:/nowhere/at/all", "127.0.0.1:1", "nowhere.invalid:1"}) {
    ChannelOptions options = Options();
    options.connect_timeout = absl::Milliseconds(100);
    auto channel = ChannelTo(target, std::move(options));
    EchoService::Stub stub(*channel);
    Notification gone;
    stub.EchoAsync(RequestOf("first"), {.timeout = kForever}, [&](absl::StatusOr<EchoReply> r) {
      EXPECT_THAT(r.status(), HasCode(absl::StatusCode::kUnavailable));
      channel.reset();
      gone.Notify();
    });
    ASSERT_TRUE(gone.Wait());
  }
}

TEST_P(InItsCallback, AChannelMayGoWhenACallExpiresOrIsCancelled) {
  TempDir dir;
  const std::string target = absl::StrCat("unix:", dir.path(), "/s");
  const Socket listener = ListenOn(target, 100);
  for (const bool cancel : {false, true}) {
    auto channel = ChannelTo(target, Options());
    EchoResult others;
    Notification gone;
    ClientContext context;
    EchoService::Stub stub(*channel);
    stub.EchoAsync(RequestOf("x"), {.timeout = kForever}, Into(others));
    stub.EchoAsync(RequestOf("first"),
                   {.timeout = cancel ? kForever : absl::Milliseconds(5), .context = &context},
                   [&](absl::StatusOr<EchoReply>) {
                     channel.reset();
                     gone.Notify();
                   });
    if (cancel) context.Cancel();
    ASSERT_TRUE(gone.Wait());
    others.WaitForAll(1);
  }
}

TEST_P(InItsCallback, AChannelMayGoWhenItsConnectionIsLost) {
  AnsweringEcho service;
  TempDir dir;
  const std::string target = absl::StrCat("unix:", dir.path(), "/s");
  Server server;
  ASSERT_TRUE(server.Register(service).ok());
  ASSERT_TRUE(server.Start(target).ok());
  auto channel = ChannelTo(target, Options());
  EchoService::Stub stub(*channel);
  Notification gone;
  stub.HangAsync(RequestOf("x"), {.timeout = kForever}, [&](absl::StatusOr<EchoReply>) {
    channel.reset();
    gone.Notify();
  });
  ASSERT_TRUE(service.hanging.WaitForValue(1));
  std::thread stopper([&] { server.Stop(absl::ZeroDuration()); });
  ASSERT_TRUE(gone.Wait());
  service.Release();
  stopper.join();
}

INSTANTIATE_TEST_SUITE_P(Runtimes, InItsCallback, testing::Bool(), [](const auto& p) {
  return p.param ? std::string("Shared") : std::string("Private");
});

TEST(RetryInACallback, WaitsForTheNextConnection) {
  // A program that tries again at once, in the callback that says the call failed.
  HookedEcho service;
  TempDir dir;
  const std::string target = absl::StrCat("unix:", dir.path(), "/s");
  ChannelOptions options;
  options.backoff = absl::Milliseconds(1);
  const auto channel = ChannelTo(target, std::move(options));
  EchoService::Stub stub(*channel);
  Notification done;
  std::atomic<bool> stop{false};
  std::function<void(absl::StatusOr<EchoReply>)> again = [&](absl::StatusOr<EchoReply> r) {
    if (r.ok() || stop.load()) {
      done.Notify();
    } else {
      stub.EchoAsync(RequestOf("x"), {.timeout = kForever}, again);
    }
  };
  again(absl::UnavailableError("begin"));
  // Between attempts each call fails at once, and its callback makes the next. They have to leave
  // the loop time for its timer, or no second attempt comes.
  ASSERT_TRUE(PollUntil([&] { return channel->counts().failed_connects >= 2; }));
  Server server;
  ASSERT_TRUE(server.Register(service).ok());
  ASSERT_TRUE(server.Start(target).ok());
  EXPECT_TRUE(done.Wait());
  stop.store(true);
}

TEST(LeakedChannelDeathTest, IsNoReasonForAProgramNotToEnd) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        // Never destroyed, as in a program that ends by exit() in the middle of its calls.
        static HookedEcho* service = new HookedEcho;
        static auto* server = new TestServer(*service);
        static auto* channel = new std::unique_ptr<Channel>(server->Connect());
        const bool ok = EchoService::Stub(**channel).Echo(RequestOf("x")).ok();
        static auto* hung = new EchoResult;
        EchoService::Stub(**channel).HangAsync(RequestOf("x"), {}, Into(*hung));
        std::exit(ok && service->hanging.WaitForValue(1) ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace weft::test
