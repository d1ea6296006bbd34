// The life of connections as a program sees it: events, lists, closing for want of calls, and a
// server that turns before it goes.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"

namespace weft::test {

using namespace internal;

namespace {

using absl::StatusCode;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Records events in their order.
class Events {
 public:
  ConnectionListener Listener() {
    return [this](const ConnectionEvent& event) {
      all_.Update([&](std::vector<ConnectionEvent>& all) { all.push_back(event); });
    };
  }
  std::vector<ConnectionState> states() const {
    std::vector<ConnectionState> states;
    for (const ConnectionEvent& event : all_.Get()) states.push_back(event.state);
    return states;
  }
  [[nodiscard]] bool WaitFor(ConnectionState state) const {
    return all_.WaitFor([&](const std::vector<ConnectionEvent>& all) {
      return std::any_of(all.begin(), all.end(), [&](const auto& e) { return e.state == state; });
    });
  }
  ConnectionEvent last() const { return all_.Get().back(); }

 private:
  Watched<std::vector<ConnectionEvent>> all_;
};

TEST(ConnectionEvents, TellBothSidesInOrder) {
  HookedEcho service;
  Events of_server, of_channel;
  ServerOptions server_options;
  server_options.on_connection = of_server.Listener();
  TestServer server(service, server_options);
  ChannelOptions options;
  options.on_connection = of_channel.Listener();
  auto channel = server.Connect(options);
  EchoService::Stub stub(*channel);
  ASSERT_TRUE(stub.Echo(RequestOf("hi")).ok());
  EXPECT_THAT(of_channel.states(), ElementsAre(ConnectionState::kConnecting, ConnectionState::kUp));
  channel.reset();
  // The destructor returns when the listener has been told of the end.
  EXPECT_EQ(of_channel.last().state, ConnectionState::kDown);
  EXPECT_EQ(of_channel.last().reason, CloseReason::kLocal);
  EXPECT_THAT(std::string(of_channel.last().why.message()), HasSubstr("the channel was closed"));
  ASSERT_TRUE(of_server.WaitFor(ConnectionState::kDown));
  EXPECT_THAT(of_server.states(), ElementsAre(ConnectionState::kUp, ConnectionState::kDown));
  EXPECT_EQ(of_server.last().reason, CloseReason::kPeerClosed);
}

TEST(ConnectionEvents, TellOfAnAttemptThatFailed) {
  Events events;
  ChannelOptions options;
  options.on_connection = events.Listener();
  TempDir dir;
  auto channel = ChannelTo(absl::StrCat("unix:", dir.path(), "/nobody"), options);
  EchoService::Stub stub(*channel);
  EXPECT_FALSE(stub.Echo(RequestOf("hi")).ok());
  EXPECT_TRUE(events.WaitFor(ConnectionState::kDown));
  EXPECT_EQ(events.states().front(), ConnectionState::kConnecting);
}

TEST(ConnectionEvents, TellOfAMissedHeartbeatAndOfLife) {
  RawListener listener;
  Events events;
  ChannelOptions options;
  options.on_connection = events.Listener();
  options.limits.heartbeat_interval = absl::Milliseconds(20);
  // The connection must stay suspect and not be ended before the test has looked.
  options.limits.heartbeat_misses = 100;
  auto channel = ChannelTo(listener.address(), options);
  channel->Connect();
  RawPeer server = listener.Accept();
  raw::HelloFields hello;
  hello.heartbeat_ms = 20;
  server.Send(raw::Opening(hello));
  ASSERT_TRUE(events.WaitFor(ConnectionState::kSuspect));
  EXPECT_EQ(channel->connections().at(0).state, ConnectionState::kSuspect);
  server.Send(raw::Ping(1));
  // Connecting, up, suspect, and up again: any sign of life ends the suspicion.
  EXPECT_TRUE(PollUntil([&] { return events.states().size() > 3; }));
  EXPECT_EQ(events.states().at(3), ConnectionState::kUp);
}

TEST(ConnectionList, ShowsWhatIsUnderWay) {
  HookedEcho service;
  TestServer server(service);
  auto channel = server.Connect();
  EXPECT_TRUE(channel->connections().empty());
  EchoService::Stub stub(*channel);
  EchoResult result;
  stub.HangAsync(RequestOf("hi"), {.timeout = absl::Seconds(30)}, Into(result));
  ASSERT_TRUE(service.hanging.WaitForValue(1));
  const std::vector<ConnectionInfo> ours = channel->connections();
  ASSERT_EQ(ours.size(), 1u);
  EXPECT_EQ(ours[0].state, ConnectionState::kUp);
  EXPECT_EQ(ours[0].calls, 1u);
  EXPECT_EQ(ours[0].peer, server.target());
  EXPECT_GT(ours[0].bytes_in, 0u);
  EXPECT_GT(ours[0].bytes_out, 0u);
  EXPECT_GT(ours[0].age, absl::ZeroDuration());
  ASSERT_TRUE(PollUntil([&] { return server->connection_list().at(0).calls == 1; }));
  const std::vector<ConnectionInfo> theirs = server->connection_list();
  ASSERT_EQ(theirs.size(), 1u);
  EXPECT_EQ(theirs[0].state, ConnectionState::kUp);
  EXPECT_GE(theirs[0].bytes_in, 8u);
  service.release.Notify();
  ASSERT_TRUE(result.Wait().ok());
  channel.reset();
  EXPECT_TRUE(PollUntil([&] { return server->connection_list().empty(); }));
}

TEST(IdleTimeout, ClosesAChannelsConnectionAndTheNextCallMakesAnother) {
  HookedEcho service;
  Events events;
  TestServer server(service);
  ChannelOptions options;
  options.idle_timeout = absl::Milliseconds(8);
  options.on_connection = events.Listener();
  auto channel = server.Connect(options);
  EchoService::Stub stub(*channel);
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(stub.Echo(RequestOf("hi")).ok());
    ASSERT_TRUE(PollUntil([&] { return channel->connections().empty(); }));
    EXPECT_TRUE(PollUntil([&] { return server->connections().open == 0; }));
    EXPECT_EQ(channel->counts().connects, i);
  }
  // Announced, not cut: a server that found a reset would count kBroken.
  EXPECT_THAT(events.states(), Contains(ConnectionState::kGoingAway));
  EXPECT_EQ(server->closed(CloseReason::kBroken), 0) << "both know that it is over";
}

TEST(IdleTimeout, LeavesAConnectionWithCallsAlone) {
  HookedEcho service;
  TestServer server(service);
  ChannelOptions options;
  options.idle_timeout = absl::Milliseconds(4);
  auto channel = server.Connect(options);
  EchoService::Stub stub(*channel);
  EchoResult result;
  stub.HangAsync(RequestOf("hi"), {.timeout = absl::Seconds(30)}, Into(result));
  ASSERT_TRUE(service.hanging.WaitForValue(1));
  for (int i = 0; i < 20; ++i) {
    // Calls that come and go beside the hanging one: neither alone may make the connection look
    // idle.
    ASSERT_TRUE(stub.SleepBriefly(SleepRequest(), {.timeout = absl::Seconds(30)}).ok());
    std::this_thread::yield();
  }
  service.release.Notify();
  ASSERT_TRUE(result.Wait().ok()) << result.Wait().status();
  EXPECT_EQ(channel->counts().connects, 1);
}

TEST(IdleTimeout, ClosesAServersConnectionsAndNoCallNotices) {
  HookedEcho service;
  ServerOptions server_options;
  server_options.idle_timeout = absl::Milliseconds(4);
  TestServer server(service, server_options);
  Watched<int> going_away{0};
  ChannelOptions options;
  options.backoff = options.max_backoff = absl::Milliseconds(1);
  options.on_connection = [&](const ConnectionEvent& event) {
    if (event.state == ConnectionState::kGoingAway) going_away.Update([](int& n) { ++n; });
  };
  auto channel = server.Connect(options);
  EchoService::Stub stub(*channel);
  const CallOptions patient{.timeout = absl::Seconds(30), .wait_for_ready = true};
  for (int i = 1; i <= 10; ++i) {
    ASSERT_EQ(stub.Echo(RequestOf("hi"), patient).status(), absl::OkStatus());
    // The next call comes while the connection ends.
    ASSERT_TRUE(going_away.WaitFor([i](int n) { return n >= i; }));
  }
  EXPECT_EQ(service.entered.load(), 10);
  EXPECT_EQ(server->closed(CloseReason::kBroken), 0) << "both know that it is over";
}

TEST(ServerState, TurnsBeforeAnyClientIsTold) {
  HookedEcho service;
  Events events;
  Watched<std::vector<ServerState>> states;
  std::atomic<bool> told_first{false};
  ServerOptions options;
  options.on_state = [&](ServerState state) {
    if (state == ServerState::kDraining) {
      // The client's events are looked at inside the listener of the state: they must not tell of
      // the end yet.
      const std::vector<ConnectionState> seen = events.states();
      told_first = std::find(seen.begin(), seen.end(), ConnectionState::kGoingAway) == seen.end();
    }
    states.Update([&](auto& all) { all.push_back(state); });
  };
  TestServer server(service, options);
  ChannelOptions channel_options;
  channel_options.on_connection = events.Listener();
  auto channel = server.Connect(channel_options);
  EchoService::Stub stub(*channel);
  EXPECT_EQ(server->state(), ServerState::kServing);
  ASSERT_TRUE(stub.Echo(RequestOf("hi")).ok());
  server->Stop();
  server->Stop();
  EXPECT_TRUE(told_first.load());
  EXPECT_EQ(server->state(), ServerState::kStopped);
  EXPECT_TRUE(events.WaitFor(ConnectionState::kGoingAway));
  EXPECT_THAT(states.Get(),
              ElementsAre(ServerState::kServing, ServerState::kDraining, ServerState::kStopped));
}

TEST(ServerState, StopsWhileItStarts) {
  for (int i = 0; i < 50; ++i) {
    HookedEcho service;
    Server server;
    ASSERT_EQ(server.Register(service), absl::OkStatus());
    // Stop meets Start at another point in each round. Either may win.
    std::thread stopper([&] { server.Stop(); });
    const absl::Status started = server.Start("127.0.0.1:0");
    stopper.join();
    if (started.ok()) {
      server.Stop();
    } else {
      EXPECT_THAT(started, IsStatus(StatusCode::kFailedPrecondition, HasSubstr("stopped")));
    }
    EXPECT_EQ(server.state(), ServerState::kStopped);
  }
}

TEST(CallTiming, SaysWhereTheTimeWent) {
  HookedEcho service;
  TestServer server(service);
  auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  ClientContext context;
  ASSERT_TRUE(stub.Echo(RequestOf("hi"), {.context = &context}).ok());
  EXPECT_GT(context.queued(), absl::ZeroDuration()) << "for the connection";
  // The handler's time is the server's measure, so only a bound can be asked for.
  EXPECT_GE(context.total(), context.queued() + context.handler_time());
  ClientContext second;
  ASSERT_TRUE(stub.Echo(RequestOf("hi"), {.context = &second}).ok());
  EXPECT_EQ(second.queued(), absl::ZeroDuration()) << "there is one";
  EXPECT_GT(second.total(), absl::ZeroDuration());
  EXPECT_THAT(stub.Hang(RequestOf("hi"), {.timeout = absl::Milliseconds(20)}).status(),
              IsStatus(StatusCode::kDeadlineExceeded,
                       AllOf(HasSubstr("; the request was sent (0.0 ms until it was given to the "
                                       "connection, "),
                             HasSubstr(" at the server or on the way)"))));
}

}  // namespace
}  // namespace weft::test
