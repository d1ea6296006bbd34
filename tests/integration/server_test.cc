// A server's life: services, addresses, authentication, statistics, threads, and the ways to stop.
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/support/loop_thread.h"
#include "weft/core/loop_group.h"

namespace weft::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr absl::Duration kForever = absl::InfiniteDuration();

// ---- Starting

TEST(ServerStart, RefusesAServiceTwiceAndSaysSoAgainWhenItStarts) {
  HookedEcho one;
  AnsweringEcho other;
  Server server;
  EXPECT_TRUE(server.Register(one).ok());
  EXPECT_THAT(server.Register(other),
              IsStatus(absl::StatusCode::kAlreadyExists, HasSubstr("weft.test.EchoService")));
  // Said again, in case the program has ignored it.
  EXPECT_THAT(server.Start("127.0.0.1:0"), HasCode(absl::StatusCode::kAlreadyExists));
}

TEST(ServerStart, TakesNoServicesAfterwards) {
  HookedEcho service;
  class Counter : public CounterService::Service {
  } late;
  TestServer server(service);
  EXPECT_THAT(server->Register(late), HasCode(absl::StatusCode::kFailedPrecondition));
  const auto channel = server.Connect();
  EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x")).ok());
}

TEST(ServerStart, NamesAddressAndErrnoWhenItCannotListen) {
  HookedEcho service;
  TestServer first(service);
  Server second;
  ASSERT_TRUE(second.Register(service).ok());
  EXPECT_THAT(
      second.Start(first.target()),
      AllOf(testing::Not(HasCode(absl::StatusCode::kOk)),
            testing::Property(&absl::Status::message, AllOf(HasSubstr("bind " + first.target()),
                                                            HasSubstr("Address already in use")))));
  // Another address will do.
  EXPECT_EQ(second.Start("127.0.0.1:0"), absl::OkStatus());
  const auto channel = ChannelTo(second.addresses()[0]);
  EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x")).ok());
}

TEST(ServerStart, RefusesWhatIsNoAddress) {
  for (const char* bad : {"", "127.0.0.1", "127.0.0.1:99999", "no-such-host.invalid:0", ":"}) {
    Server server;
    EXPECT_FALSE(server.Start(bad).ok()) << bad;
  }
}

TEST(ServerStart, ListensOnSeveralAddresses) {
  HookedEcho service;
  TempDir dir;
  Server server;
  ASSERT_TRUE(server.Register(service).ok());
  EXPECT_EQ(server.port(), 0);
  ASSERT_TRUE(server.Start(absl::StrCat("unix:", dir.path(), "/s")).ok());
  EXPECT_EQ(server.port(), 0);
  ASSERT_TRUE(server.Start("127.0.0.1:0").ok());
  ASSERT_TRUE(server.Start("[::1]:0").ok());
  ASSERT_TRUE(server.Start("localhost:0").ok());
  ASSERT_THAT(server.addresses(), SizeIs(4));
  EXPECT_NE(server.port(), 0);
  EXPECT_EQ(server.addresses()[1], absl::StrCat("127.0.0.1:", server.port()));
  for (const std::string& address : server.addresses()) {
    const auto channel = ChannelTo(address);
    EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x")).ok()) << address;
  }
  EXPECT_EQ(server.connections().accepted, 4);
}

// ---- Files of unix sockets

bool Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

// The path belongs to the new server when the old one stops. A server that unlinked its path would
// take the new one off the air.
TEST(UnixSocket, OfTheSuccessorIsLeftByTheServerThatStops) {
  const TempDir dir;
  const std::string path = dir.path() + "/s";
  Server old_one, new_one;
  ASSERT_TRUE(old_one.Start("unix:" + path).ok());
  ASSERT_TRUE(new_one.Start("unix:" + path + ".new").ok());
  ASSERT_EQ(::rename((path + ".new").c_str(), path.c_str()), 0) << "the usual hand-over";
  old_one.Stop();
  EXPECT_TRUE(Exists(path));
}

TEST(UnixSocket, IsRemovedAfterAChangeOfTheWorkingDirectory) {
  const TempDir dir;
  const std::unique_ptr<char, decltype(&::free)> before(::getcwd(nullptr, 0), &::free);
  ASSERT_EQ(::chdir(dir.path().c_str()), 0);
  Server server;
  const absl::Status started = server.Start("unix:./s");
  // Back before anything is asserted: the other tests run in the same process.
  ASSERT_EQ(::chdir(before.get()), 0);
  ASSERT_TRUE(started.ok()) << started;
  EXPECT_TRUE(Exists(dir.path() + "/s"));
  server.Stop();
  EXPECT_FALSE(Exists(dir.path() + "/s"));
}

TEST(UnixSocket, HasTheModeThatTheServersOptionsSay) {
  const TempDir dir;
  const std::string path = dir.path() + "/s";
  Server server({.unix_socket_mode = 0660});
  ASSERT_TRUE(server.Start("unix:" + path).ok());
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777u, 0660u);
  Server wrong({.unix_socket_mode = 01777});
  EXPECT_THAT(wrong.Start("unix:" + path + "2"),
              IsStatus(absl::StatusCode::kInvalidArgument, HasSubstr("unix_socket_mode")));
}

// Client and server resolve the name in the same way.
TEST(ServerStart, OfLocalhostIsReachedByEachOfItsAddressesAndByItsName) {
  HookedEcho service;
  Server server;
  ASSERT_TRUE(server.Register(service).ok());
  ASSERT_TRUE(server.Start("localhost:0").ok());
  std::vector<std::string> targets = server.addresses();
  targets.push_back(absl::StrCat("localhost:", server.port()));
  for (const std::string& target : targets) {
    EXPECT_THAT(target, testing::EndsWith(absl::StrCat(":", server.port())));
    const auto channel = ChannelTo(target);
    EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x")).ok()) << target;
  }
}

// ---- Authentication

TEST(Authentication, TellsHandlersWhoCalls) {
  HookedEcho service;
  service.echo = [](ServerContext& call, EchoRequest&, EchoReply& reply) {
    reply.set_payload(call.identity());
    return absl::OkStatus();
  };
  TestServer server(
      service,
      ServerOptions{.authenticator = [](std::string_view token,
                                        const std::string& peer) -> absl::StatusOr<std::string> {
        EXPECT_THAT(peer, testing::StartsWith("127.0.0.1:"));
        EXPECT_EQ(internal::EventLoop::Current(), nullptr);
        return absl::StrCat("user of ", std::string(token));
      }});
  for (const std::string& token : {std::string("blue"), std::string("\0\xff", 2), std::string()}) {
    const auto channel = server.Connect({.auth_token = token});
    EXPECT_EQ(EchoService::Stub(*channel).Echo(RequestOf("x"))->payload(), "user of " + token);
  }
}

TEST(Authentication, RefusesCallsAndExecutesNone) {
  HookedEcho service;
  TestServer server(service, ServerOptions{.authenticator = [](std::string_view, const std::string&)
                                               -> absl::StatusOr<std::string> {
                      return absl::UnauthenticatedError("wrong token");
                    }});
  ChannelOptions options;
  // No second attempt comes by itself, so every refusal below is of the one connection.
  options.backoff = options.max_backoff = absl::Hours(1);
  const auto channel = server.Connect(std::move(options));
  EchoService::Stub stub(*channel);
  EchoResult results;
  for (int i = 0; i < 50; ++i) stub.EchoAsync(RequestOf("x"), {.timeout = kForever}, Into(results));
  for (int i = 0; i < 5; ++i) {
    ClientContext context;
    EXPECT_THAT(stub.Echo(RequestOf("x"), {.context = &context}).status(),
                IsStatus(absl::StatusCode::kUnauthenticated, HasSubstr("wrong token")));
    EXPECT_FALSE(context.may_have_been_executed());
  }
  for (const auto& reply : results.WaitForAll(50)) {
    EXPECT_THAT(reply.status(), HasCode(absl::StatusCode::kUnauthenticated));
  }
  EXPECT_EQ(service.entered.load(), 0);
  EXPECT_EQ(server->connections().accepted, 1);
  EXPECT_TRUE(PollUntil([&] { return server->closed(CloseReason::kUnauthenticated) == 1; }));
}

TEST(Authentication, ThatThrowsRefusesAndEndsNothingElse) {
  HookedEcho service;
  TestServer server(
      service,
      ServerOptions{.authenticator = [](std::string_view token,
                                        const std::string&) -> absl::StatusOr<std::string> {
        if (token == "int") throw 5;
        if (token == "error") throw std::runtime_error("oh");
        return "fine";
      }});
  for (const char* token : {"int", "error"}) {
    const auto channel = server.Connect({.auth_token = token});
    EXPECT_FALSE(EchoService::Stub(*channel).Echo(RequestOf("x")).ok());
  }
  EXPECT_EQ(service.entered.load(), 0);
  const auto channel = server.Connect({.auth_token = "good"});
  EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x")).ok());
}

TEST(Authentication, HoldsCallsUntilItHasDecided) {
  HookedEcho service;
  Notification decide;
  std::atomic<int> asked{0};
  TestServer server(
      service,
      ServerOptions{.worker_threads = 2,
                    .authenticator = [&](std::string_view,
                                         const std::string&) -> absl::StatusOr<std::string> {
                      asked.fetch_add(1);
                      EXPECT_TRUE(decide.Wait());
                      return "late";
                    }});
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EchoResult results, large;
  for (int i = 0; i < 100; ++i) {
    stub.EchoAsync(RequestOf("x"), {.timeout = kForever}, Into(results));
  }
  // An expired one is not executed afterwards.
  constexpr absl::Duration kBrief = absl::Milliseconds(5);
  const absl::Status expired = stub.Fail(FailRequest(), {.timeout = kBrief}).status();
  EXPECT_THAT(expired, HasCode(absl::StatusCode::kDeadlineExceeded));
  // False: it expired before there was a connection, and was never sent.
  const bool sent = expired.message().find("no reply within") != std::string::npos;
  // The server's time for it begins when it comes, and its cancelling may come later still.
  EXPECT_TRUE(PollUntil([&] {
    const auto at_server = server->connection_list();
    const auto at_client = channel->connections();
    return at_server.size() == 1 && at_client.size() == 1 && at_client[0].bytes_out > 100 &&
           at_server[0].bytes_in == at_client[0].bytes_out;
  }));
  const absl::Time over = absl::Now() + kBrief;
  EXPECT_TRUE(PollUntil([&] { return absl::Now() >= over; }));
  // More than the 64 KiB that are kept: the rest waits with the client.
  const EchoRequest request = PayloadOf(300'000);
  stub.EchoAsync(request, {.timeout = kForever}, Into(large));
  EXPECT_TRUE(PollUntil([&] { return asked.load() == 1; }));
  EXPECT_EQ(service.entered.load(), 0);
  decide.Notify();
  for (const auto& reply : results.WaitForAll(100)) EXPECT_TRUE(reply.ok()) << reply.status();
  EXPECT_TRUE(large.Wait()->payload() == request.payload());
  EXPECT_TRUE(PollUntil([&] { return channel->counts().late_replies == (sent ? 1 : 0); }));
  EXPECT_EQ(service.entered.load(), 101);
}

// The authenticator is inside its code and cannot be called back. Its late verdict must find
// nothing to act on.
TEST(Authentication, MayBeUnderWayWhenItsClientGoesOrTheServerStops) {
  HookedEcho service;
  for (const bool stop : {false, true}) {
    Notification decide;
    std::atomic<int> asked{0};
    TestServer server(
        service,
        ServerOptions{.authenticator = [&](std::string_view,
                                           const std::string&) -> absl::StatusOr<std::string> {
                        asked.fetch_add(1);
                        EXPECT_TRUE(decide.Wait());
                        return "late";
                      },
                      .drain = absl::ZeroDuration()});
    auto channel = server.Connect();
    EchoResult result;
    EchoService::Stub(*channel).EchoAsync(RequestOf("x"), {.timeout = kForever}, Into(result));
    ASSERT_TRUE(PollUntil([&] { return asked.load() == 1; }));
    std::thread stopper;
    if (stop) {
      stopper = std::thread([&] { server->Stop(); });  // waits for the authenticator
    } else {
      channel.reset();
      ASSERT_TRUE(PollUntil([&] { return server->connections().open == 0; }));
    }
    EXPECT_THAT(result.Wait().status(), HasCode(absl::StatusCode::kUnavailable));
    decide.Notify();
    if (stop) stopper.join();
  }
  EXPECT_EQ(service.entered.load(), 0);
}

// ---- Statistics

TEST(ServerStats, AreWhatClientsCounted) {
  HookedEcho service;
  TestServer server(service, ServerOptions{.io_threads = 2, .worker_threads = 3});
  std::map<std::string, std::array<int64_t, 17>> counted;
  std::mutex mu;
  const auto count = [&](const std::string& method, const absl::Status& status) {
    std::lock_guard<std::mutex> lock(mu);
    ++counted["weft.test.EchoService/" + method][static_cast<size_t>(status.code())];
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const auto channel = server.Connect();
      EchoService::Stub stub(*channel);
      for (int i = 0; i < 100; ++i) {
        count("Echo", stub.Echo(RequestOf("x")).status());
        count("EchoInline", stub.EchoInline(RequestOf("x")).status());
        FailRequest request;
        request.set_code((t * 100 + i) % 17);
        count("Fail", stub.Fail(request).status());
        // A handler that throws is counted too, with the code that its caller saw.
        if (i % 10 == 0) count("Throw", stub.Throw(request).status());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  // Nothing is under way any more, so the counts are complete.
  server->Stop();
  for (const MethodStatsSnapshot& stats : server->Stats()) {
    EXPECT_EQ(stats.by_code, counted[stats.method]) << stats.method;
    int64_t calls = 0, measured = 0;
    for (const int64_t n : stats.by_code) calls += n;
    for (const int64_t n : stats.latency) measured += n;
    EXPECT_EQ(stats.calls, calls);
    EXPECT_EQ(measured, calls);
  }
  EXPECT_EQ(server->connections().accepted, 4);
  EXPECT_EQ(server->connections().open, 0);
}

TEST(ServerStats, CountConnectionsByTheReasonOfTheirEnd) {
  HookedEcho service;
  TestServer server(service);
  {
    const auto one = server.Connect(), two = server.Connect();
    ASSERT_TRUE(EchoService::Stub(*one).Echo(RequestOf("x")).ok());
    ASSERT_TRUE(EchoService::Stub(*two).Echo(RequestOf("x")).ok());
    EXPECT_EQ(server->connections().accepted, 2);
    EXPECT_EQ(server->connections().open, 2);
  }
  EXPECT_TRUE(PollUntil([&] { return server->connections().open == 0; }));
  EXPECT_EQ(server->closed(CloseReason::kPeerClosed), 2);
  const auto three = server.Connect();
  ASSERT_TRUE(EchoService::Stub(*three).Echo(RequestOf("x")).ok());
  server->Stop();
  EXPECT_EQ(server->connections().accepted, 3);
  EXPECT_EQ(server->connections().open, 0);
  // Either end may have been the first to close the third one.
  EXPECT_EQ(server->closed(CloseReason::kPeerClosed) + server->closed(CloseReason::kLocal), 3);
}

TEST(MaxConnections, AreKeptToByEveryLoop) {
  HookedEcho service;
  const auto log = std::make_shared<CollectedLog>();
  const auto runtime = RuntimeOf({.io_threads = 3, .log_sink = log});
  TestServer server(service, ServerOptions{.runtime = runtime, .max_connections = 3});
  std::vector<std::unique_ptr<Channel>> channels;
  for (int i = 0; i < 3; ++i) {
    channels.push_back(server.Connect());
    EXPECT_TRUE(EchoService::Stub(*channels.back()).Echo(RequestOf("x")).ok());
  }
  for (int i = 0; i < 4; ++i) {
    const auto more = server.Connect();
    EXPECT_THAT(EchoService::Stub(*more).Echo(RequestOf("x")).status(),
                HasCode(absl::StatusCode::kUnavailable));
  }
  EXPECT_TRUE(log->lines.WaitFor([](const std::vector<std::string>& lines) {
    return !lines.empty() && lines[0].find("max_connections") != std::string::npos;
  }));
  for (const auto& channel : channels) {
    EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("y")).ok());
  }
  EXPECT_EQ(server->connections().open, 3);
  channels.pop_back();
  ASSERT_TRUE(PollUntil([&] { return server->connections().open == 2; }));
  EXPECT_TRUE(EchoService::Stub(*server.Connect()).Echo(RequestOf("z")).ok());
}

TEST(MaxConnections, AreNeverExceededInAStorm) {
  HookedEcho service;
  const auto runtime = RuntimeOf({.io_threads = 4});
  TestServer server(service, ServerOptions{.runtime = runtime, .max_connections = 2});
  std::atomic<bool> over{false}, stop{false};
  // Looks all the time: a limit that is passed for a moment would show in no later look.
  std::thread watcher([&] {
    while (!stop.load()) {
      if (server->connections().open > 2) over.store(true);
    }
  });
  const auto clients = RuntimeOf();
  for (int round = 0; round < 5; ++round) {
    std::vector<std::unique_ptr<Channel>> channels;
    EchoResult results;
    for (int i = 0; i < 20; ++i) {
      channels.push_back(server.Connect({.runtime = clients}));
      EchoService::Stub(*channels.back()).EchoAsync(RequestOf("x"), {}, Into(results));
    }
    results.WaitForAll(20);
    channels.clear();
  }
  stop.store(true);
  watcher.join();
  EXPECT_FALSE(over.load());
}

// ---- Threads

TEST(IoThreads, GetConnectionsInTurn) {
  HookedEcho service;
  TestServer server(service, ServerOptions{.io_threads = 3});
  std::vector<std::unique_ptr<Channel>> channels;
  std::map<uint64_t, int> seen;
  std::vector<uint64_t> order;
  for (int i = 0; i < 9; ++i) {
    channels.push_back(server.Connect());
    // An inline handler says on which loop's thread its connection is.
    const auto where = EchoService::Stub(*channels.back()).WhereInline(WhereRequest());
    ASSERT_TRUE(where.ok());
    EXPECT_TRUE(where->on_loop());
    order.push_back(where->thread());
    ++seen[where->thread()];
  }
  EXPECT_THAT(seen, SizeIs(3));
  for (const auto& [thread, times] : seen) EXPECT_EQ(times, 3);
  for (size_t i = 3; i < order.size(); ++i) EXPECT_EQ(order[i], order[i - 3]);
  // A connection stays where it is.
  for (size_t i = 0; i < order.size(); ++i) {
    EXPECT_EQ(EchoService::Stub(*channels[i]).WhereInline(WhereRequest())->thread(), order[i]);
  }
}

TEST(SharedRuntime, ServesTwoServersAndManyChannelsAndOutlivesThem) {
  const auto runtime = RuntimeOf({.io_threads = 2, .worker_threads = 2});
  HookedEcho one, two;
  std::optional<TestServer> first;
  first.emplace(one, ServerOptions{.runtime = runtime});
  TestServer second(two, ServerOptions{.runtime = runtime});
  std::vector<std::unique_ptr<Channel>> channels;
  for (int i = 0; i < 20; ++i) {
    channels.push_back((i % 2 == 0 ? *first : second).Connect({.runtime = runtime}));
  }
  EchoResult results;
  for (int i = 0; i < 500; ++i) {
    EchoService::Stub(*channels[static_cast<size_t>(i % 20)])
        .EchoAsync(RequestOf("x"), {.timeout = kForever}, Into(results));
  }
  for (const auto& reply : results.WaitForAll(500)) EXPECT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(one.entered.load(), 250);
  EXPECT_EQ(two.entered.load(), 250);
  first.reset();
  EXPECT_TRUE(EchoService::Stub(*channels[1]).Echo(RequestOf("x")).ok());
  EXPECT_FALSE(EchoService::Stub(*channels[0]).Echo(RequestOf("x")).ok());
}

// ---- Stopping

TEST(Stop, LetsCallsUnderWayFinishAndTakesNoNewOnes) {
  AnsweringEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EchoResult hung;
  for (int i = 0; i < 3; ++i) stub.HangAsync(RequestOf("x"), {.timeout = kForever}, Into(hung));
  ASSERT_TRUE(service.hanging.WaitForValue(3));
  // On a thread of its own: Stop waits for the calls that this test lets go later.
  std::thread stopper([&] { server->Stop(kForever); });
  // Until the announcement has come calls are served; then they are refused, not executed.
  ASSERT_TRUE(PollUntil([&] { return !stub.Echo(RequestOf("x")).ok(); }));
  ClientContext context;
  EXPECT_THAT(stub.Echo(RequestOf("x"), {.context = &context}).status(),
              HasCode(absl::StatusCode::kUnavailable));
  EXPECT_FALSE(context.may_have_been_executed());
  EXPECT_EQ(hung.count(), 0u);
  service.Release();
  for (const auto& reply : hung.WaitForAll(3)) EXPECT_TRUE(reply.ok()) << reply.status();
  stopper.join();
  EXPECT_EQ(server->connections().open, 0);
}

TEST(Stop, CancelsWhatIsLeftAtItsDeadline) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EchoResult hung;
  stub.HangAsync(RequestOf("x"), {.timeout = kForever}, Into(hung));
  ASSERT_TRUE(service.hanging.WaitForValue(1));
  // The drain's end comes while the handler still hangs. It waits for the handler all the same, for
  // its service may be destroyed next.
  server->Stop(absl::Milliseconds(5));
  EXPECT_EQ(service.seen_cancelled.Get(), 1);
  EXPECT_EQ(service.hanging.Get(), 0);
  // The handler's answer may still get through.
  EXPECT_THAT(hung.Wait().status(), testing::AnyOf(HasCode(absl::StatusCode::kUnavailable),
                                                   HasCode(absl::StatusCode::kCancelled)));
}

TEST(Stop, MayComeTwiceFromSeveralThreadsBeforeStartAndAfter) {
  HookedEcho service;
  {
    Server never;
    never.Stop();
    never.Wait();
    EXPECT_THAT(never.Start("127.0.0.1:0"), HasCode(absl::StatusCode::kFailedPrecondition));
  }
  TestServer server(service);
  const auto channel = server.Connect();
  ASSERT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x")).ok());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { server->Stop(); });
  for (std::thread& thread : threads) thread.join();
  server->Stop();
  server->Wait();
  EXPECT_THAT(server->Start("127.0.0.1:0"),
              IsStatus(absl::StatusCode::kFailedPrecondition, HasSubstr("stopped")));
}

class StopInside : public testing::TestWithParam<bool> {};

TEST_P(StopInside, AHandlerReturnsAtOnceAndTheServerStops) {
  const bool run_inline = GetParam();
  HookedEcho service;
  TestServer server(service, ServerOptions{.run_inline = run_inline});
  service.echo = [&](ServerContext&, EchoRequest&, EchoReply&) {
    // Begins to stop and returns: the server waits for this very handler.
    server->Stop();
    return absl::OkStatus();
  };
  const auto channel = server.Connect();
  EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x")).ok());
  server->Wait();
  EXPECT_EQ(server->connections().open, 0);
}

INSTANTIATE_TEST_SUITE_P(Where, StopInside, testing::Bool(), [](const auto& p) {
  return p.param ? std::string("OnTheLoop") : std::string("OnAWorker");
});

TEST(Stop, WhileClientsKeepSending) {
  for (int round = 0; round < 5; ++round) {
    HookedEcho service;
    TestServer server(service, ServerOptions{.io_threads = 2, .worker_threads = 2});
    std::atomic<bool> stop{false};
    std::atomic<int64_t> ok{0}, not_executed{0}, maybe{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        ChannelOptions options;
        // Short pauses, so that many calls meet the stopping server.
        options.backoff = options.max_backoff = absl::Milliseconds(1);
        const auto channel = server.Connect(std::move(options));
        EchoService::Stub stub(*channel);
        while (!stop.load()) {
          ClientContext context;
          const absl::Status status =
              stub.Echo(RequestOf("x"), {.timeout = kForever, .context = &context}).status();
          if (status.ok()) {
            ok.fetch_add(1);
          } else {
            EXPECT_THAT(status, HasCode(absl::StatusCode::kUnavailable));
            (context.may_have_been_executed() ? maybe : not_executed).fetch_add(1);
          }
        }
      });
    }
    ASSERT_TRUE(PollUntil([&] { return ok.load() > 100; }));
    server->Stop();
    const int64_t entered = service.entered.load();
    EXPECT_TRUE(PollUntil([&] { return not_executed.load() > 3; }));
    stop.store(true);
    for (std::thread& thread : threads) thread.join();
    // No call was answered without being executed.
    EXPECT_GE(entered, ok.load());
    // Each executed call was answered, or its caller was told that it may have been executed.
    EXPECT_LE(entered, ok.load() + maybe.load());
    EXPECT_EQ(service.entered.load(), entered);
  }
}

TEST(Stop, LosesNoAnswerOfADrainedCall) {
  // A drain is for that: with all calls begun before Stop, none may fail.
  for (int round = 0; round < 10; ++round) {
    HookedEcho service;
    TestServer server(service, ServerOptions{.io_threads = 2, .worker_threads = 2});
    std::vector<std::unique_ptr<Channel>> channels;
    EchoResult results;
    for (int c = 0; c < 4; ++c) {
      channels.push_back(server.Connect());
      ASSERT_TRUE(EchoService::Stub(*channels.back()).Echo(RequestOf("connects")).ok());
    }
    for (int i = 0; i < 50; ++i) {
      for (const auto& channel : channels) {
        EchoService::Stub(*channel).EchoAsync(PayloadOf(2000), {.timeout = kForever},
                                              Into(results));
      }
    }
    // Stop comes into the middle: 4 connecting calls, and 50 of the 200.
    ASSERT_TRUE(PollUntil([&] { return service.entered.load() >= 54; }));
    server->Stop();
    const int64_t entered = service.entered.load();
    int64_t ok = 0;
    for (const auto& reply : results.WaitForAll(200)) {
      if (reply.ok()) {
        ++ok;
      } else {
        EXPECT_THAT(reply.status(), HasCode(absl::StatusCode::kUnavailable));
      }
    }
    EXPECT_EQ(ok + 4, entered);  // every executed one was answered
  }
}

TEST(Stop, WaitsForHandlersThatHaveAnswered) {
  // The runtime's threads outlive the server; the service does not.
  const auto runtime = RuntimeOf({.worker_threads = 2});
  class Late : public EchoService::AsyncService {
   public:
    explicit Late(std::atomic<bool>* left) : left_(left) {}
    void Echo(ServerContext&, EchoRequest&, Responder<EchoReply> responder) override {
      responder.Finish();
      EXPECT_TRUE(stopping.Wait());
      // Long enough for a Stop that does not wait to have returned.
      for (int i = 0; i < 20; ++i) std::this_thread::yield();
      left_->store(true);  // whose memory is this?
    }
    Notification stopping;

   private:
    std::atomic<bool>* const left_;
  };
  for (int i = 0; i < 5; ++i) {
    std::atomic<bool> left{false};
    auto service = std::make_unique<Late>(&left);
    Server server({.runtime = runtime, .on_state = [&](ServerState state) {
                     if (state == ServerState::kDraining) service->stopping.Notify();
                   }});
    ASSERT_TRUE(server.Register(*service).ok());
    ASSERT_TRUE(server.Start("127.0.0.1:0").ok());
    const auto channel = ChannelTo(server.addresses()[0], {.runtime = runtime});
    ASSERT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x")).ok());
    server.Stop();
    EXPECT_TRUE(left.load());
    service.reset();
  }
}

TEST(Stop, IsWhatTheDestructorDoes) {
  AnsweringEcho service;
  std::optional<TestServer> server;
  server.emplace(service, ServerOptions{.drain = absl::ZeroDuration()});
  const auto channel = server->Connect();
  EchoResult hung;
  EchoService::Stub(*channel).HangAsync(RequestOf("x"), {.timeout = kForever}, Into(hung));
  ASSERT_TRUE(service.hanging.WaitForValue(1));
  std::thread destroyer([&] { server.reset(); });
  EXPECT_THAT(hung.Wait().status(), HasCode(absl::StatusCode::kUnavailable));
  service.Release();  // the destructor waits for its handlers
  destroyer.join();
}

// ---- Nothing is left behind

size_t EntriesOf(const char* path) {
  size_t count = 0;
  DIR* dir = ::opendir(path);
  while (::readdir(dir) != nullptr) ++count;
  ::closedir(dir);
  return count;
}

TEST(Leaks, NoDescriptorAndNoThreadIsLeft) {
  // A server, channels that go used and unused, and dials that fail: each kind of thing that holds
  // a descriptor or a thread.
  const auto scenario = [] {
    HookedEcho service;
    TestServer server(service, ServerOptions{.io_threads = 2, .max_worker_threads = 8});
    const auto runtime = RuntimeOf();
    std::vector<std::unique_ptr<Channel>> channels;
    EchoResult results;
    for (int i = 0; i < 20; ++i) {
      channels.push_back(server.Connect({.runtime = runtime}));
      EchoService::Stub(*channels.back()).EchoAsync(PayloadOf(100'000), {}, Into(results));
    }
    for (const auto& reply : results.WaitForAll(20)) EXPECT_TRUE(reply.ok()) << reply.status();
    channels.resize(10);
    const auto nobody = ChannelTo("127.0.0.1:1");
    EXPECT_FALSE(EchoService::Stub(*nobody).Echo(RequestOf("x")).ok());
    const auto nowhere =
        ChannelTo("nowhere.invalid:1", {.connect_timeout = absl::Milliseconds(50)});
    EXPECT_FALSE(EchoService::Stub(*nowhere).Echo(RequestOf("x")).ok());
    server->Stop();
  };
  scenario();  // what is made once and kept
  // Channels that went on threads of their own take a moment.
  const size_t descriptors = EntriesOf("/proc/self/fd"), threads = EntriesOf("/proc/self/task");
  for (int i = 0; i < 3; ++i) scenario();
  EXPECT_TRUE(PollUntil([&] {
    return EntriesOf("/proc/self/fd") <= descriptors && EntriesOf("/proc/self/task") <= threads;
  })) << EntriesOf("/proc/self/fd")
      << " descriptors, " << descriptors << " before; " << EntriesOf("/proc/self/task")
      << " threads, " << threads << " before";
}

TEST(Idle, LoopsSleepUntilThereIsSomethingToDo) {
  HookedEcho service;
  const auto runtime = RuntimeOf({.io_threads = 2});
  TestServer server(service, ServerOptions{.runtime = runtime});
  std::vector<std::unique_ptr<Channel>> channels;
  for (int i = 0; i < 10; ++i) {
    channels.push_back(server.Connect({.runtime = runtime}));
    ASSERT_TRUE(EchoService::Stub(*channels.back()).Echo(RequestOf("x")).ok());
  }
  const auto sleeps = [&] {
    return runtime->loops().At(0).loop->counts().sleeps +
           runtime->loops().At(1).loop->counts().sleeps;
  };
  // Once what the calls left to do is done, a loop that is asleep stays so: a heartbeat is ten
  // seconds away. How long that is looked at is measured in what others do meanwhile; a busy loop
  // would do about as much.
  LoopThread other;
  const auto others_work = [&] {
    for (int i = 0; i < 2'000; ++i) other.Run([] {});
  };
  others_work();
  const int64_t before = sleeps();
  others_work();
  EXPECT_LE(sleeps() - before, 10);
}

}  // namespace
}  // namespace weft::test
