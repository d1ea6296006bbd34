// Connections whose transport shakes hands before the protocol's first byte: who is seen by whom,
// and what becomes of handshakes that fail, stop half-way or take too long.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/protos/rows.weft.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "tests/support/step_transport.h"
#include "weft/core/in_process_network.h"
#include "weft/core/manual_clock.h"

namespace weft::test {

using namespace internal;

namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::Duration kForever = absl::InfiniteDuration();

std::shared_ptr<StepFactory> FactoryOf(StepScript script) {
  return std::make_shared<StepFactory>(std::move(script));
}

// An echo service that answers with the caller's identity, and keeps the way back to the caller.
class NamingEcho : public HookedEcho {
 public:
  NamingEcho() {
    echo = [this](ServerContext& call, EchoRequest& request, EchoReply& reply) {
      FillEcho(request, &reply);
      reply.set_text(call.identity());
      back = call.caller();
      return absl::OkStatus();
    };
  }
  std::shared_ptr<CallTarget> back;
};

std::string NameSeenBy(CallTarget& target) {
  const absl::StatusOr<EchoReply> reply =
      EchoService::Stub(target).Echo(RequestOf(""), {.timeout = kForever});
  return reply.ok() ? reply->text() : reply.status().ToString();
}

TEST(TransportHandshake, TellsEachSidesHandlersTheOthersName) {
  for (const bool loop_only : {false, true}) {
    // One byte a step: each byte of the handshake needs the socket to be ready again.
    for (const size_t at_once : {SIZE_MAX, size_t{1}}) {
      NamingEcho service, of_client;
      TestServer server(service, ServerOptions{.transport = FactoryOf({.name = "bob",
                                                                       .bytes_at_once = at_once,
                                                                       .loop_only = loop_only})});
      ChannelOptions options;
      options.transport =
          FactoryOf({.name = "ann", .bytes_at_once = at_once, .loop_only = loop_only});
      options.services = {&of_client};
      const auto channel = server.Connect(std::move(options));
      EXPECT_EQ(NameSeenBy(*channel), "ann");
      ASSERT_NE(service.back, nullptr);
      EXPECT_EQ(NameSeenBy(*service.back), "bob");
      const EchoRequest large = PayloadOf(3 << 20);
      const absl::StatusOr<EchoReply> reply =
          EchoService::Stub(*channel).Echo(large, {.timeout = kForever});
      ASSERT_TRUE(reply.ok()) << reply.status();
      EXPECT_EQ(reply->payload(), large.payload());
      EXPECT_EQ(server->connections().accepted, 1);
    }
  }
}

TEST(TransportHandshake, TravelsThroughMemoryToo) {
  NamingEcho service;
  // Less than a greeting of 5 bytes: each end has to wait in the middle of one.
  const auto network = InProcessNetwork::Create({.buffer_bytes = 3});
  Server server({.network = network, .transport = FactoryOf({.name = "bob"})});
  ASSERT_EQ(server.Register(service), absl::OkStatus());
  ASSERT_EQ(server.Start("inproc:store"), absl::OkStatus());
  const auto channel =
      ChannelTo("inproc:store", {.network = network, .transport = FactoryOf({.name = "ann"})});
  EXPECT_EQ(NameSeenBy(*channel), "ann");
}

TEST(TransportHandshake, WithoutAFactoryVerifiesNobody) {
  NamingEcho service;
  TestServer server(service);
  EXPECT_EQ(NameSeenBy(*server.Connect()), "");
}

TEST(TransportHandshake, IsAskedForWhatTheAddressAndTheLimitsSay) {
  ManualClock clock;
  NamingEcho service;
  const auto listens = FactoryOf({.name = "bob"}), dials = FactoryOf({.name = "ann"});
  TestServer server(service, ServerOptions{.runtime = RuntimeOf({.clock = &clock}),
                                           .transport = listens,
                                           .limits = {.handshake_timeout = absl::Seconds(7)}});
  const auto channel = server.Connect({.runtime = RuntimeOf({.clock = &clock}),
                                       .transport = dials,
                                       .connect_timeout = absl::Seconds(3)});
  EXPECT_EQ(NameSeenBy(*channel), "ann");
  const auto dialled = dials->requests.Get(), accepted = listens->requests.Get();
  ASSERT_EQ(dialled.size(), 1u);
  EXPECT_EQ(dialled[0].role, HandshakeRole::kDialer);
  EXPECT_EQ(dialled[0].server_name, "127.0.0.1");
  EXPECT_THAT(dialled[0].alpn, ElementsAre("weft/1"));
  // No time has passed on the manual clock, so the deadlines are exact.
  EXPECT_EQ(dialled[0].deadline - clock.Now(), std::chrono::seconds(3));
  ASSERT_EQ(accepted.size(), 1u);
  EXPECT_EQ(accepted[0].role, HandshakeRole::kListener);
  EXPECT_EQ(accepted[0].server_name, "");
  EXPECT_THAT(accepted[0].alpn, ElementsAre("weft/1"));
  EXPECT_EQ(accepted[0].deadline - clock.Now(), std::chrono::seconds(7));
}

TEST(TransportHandshake, IsTheAuthenticatorsToJudge) {
  NamingEcho service;
  TestServer server(
      service,
      ServerOptions{
          .transport = FactoryOf({.name = "bob"}),
          .authenticator = [](const AuthenticationRequest& asks) -> absl::StatusOr<std::string> {
            if (asks.transport.first_name() == "eve") {
              return absl::PermissionDeniedError("not eve");
            }
            return absl::StrCat(std::string(asks.transport.first_name()), " with ",
                                std::string(asks.token));
          }});
  EXPECT_EQ(NameSeenBy(*server.Connect(
                {.transport = FactoryOf({.name = "ann"}), .auth_token = "a token"})),
            "ann with a token");
  EXPECT_THAT(NameSeenBy(*server.Connect({.transport = FactoryOf({.name = "eve"})})),
              HasSubstr("not eve"));
}

// A server with a log to look at.
struct LoggedServer {
  explicit LoggedServer(Service& service, ServerOptions options,
                        std::shared_ptr<ManualClock> by = nullptr)
      : clock(std::move(by)) {
    RuntimeOptions runtime;
    runtime.log_sink = log;
    if (clock != nullptr) runtime.clock = clock.get();
    options.runtime = RuntimeOf(std::move(runtime));
    server = std::make_unique<TestServer>(service, std::move(options));
  }
  [[nodiscard]] bool Closed(CloseReason reason, int64_t times) {
    return PollUntil([&] { return (*server)->closed(reason) == times; });
  }
  // Waits for a line that has both pieces.
  [[nodiscard]] bool Says(const std::string& piece, const std::string& other) {
    return log->lines.WaitFor([&](const std::vector<std::string>& lines) {
      return std::ranges::any_of(lines, [&](const std::string& line) {
        return line.find(piece) != std::string::npos && line.find(other) != std::string::npos;
      });
    });
  }
  std::shared_ptr<ManualClock> clock;
  std::shared_ptr<CollectedLog> log = std::make_shared<CollectedLog>();
  std::unique_ptr<TestServer> server;
};

TEST(TransportHandshake, ThatTheServerRefusesIsCountedAndLoggedThere) {
  NamingEcho service;
  // At step 1 the server would answer: it has read the client's name by then.
  LoggedServer logged(service, {.transport = FactoryOf({.name = "bob", .fails_at = 1})});
  auto channel = logged.server->Connect({.transport = FactoryOf({.name = "ann"})});
  const absl::StatusOr<EchoReply> reply =
      EchoService::Stub(*channel).Echo(RequestOf(""), {.timeout = kForever});
  EXPECT_THAT(
      reply.status(),
      IsStatus(absl::StatusCode::kUnavailable,
               HasSubstr(absl::StrCat("transport handshake (dialled): the peer has gone (to ",
                                      logged.server->target(), ", after "))));
  channel.reset();
  Server& server = **logged.server;
  // The channel may have dialled again before it went, so all attempts are counted.
  EXPECT_TRUE(PollUntil([&] {
    return server.closed(CloseReason::kHandshakeFailed) == server.connections().accepted;
  }));
  EXPECT_EQ(server.connections().open, 0);
  EXPECT_TRUE(logged.Says("server: handshake failed: transport handshake (accepted): ",
                          "not your name (from 127.0.0.1:"));
}

TEST(TransportHandshake, ThatTheClientRefusesEndsItsCalls) {
  NamingEcho service;
  LoggedServer logged(service, {.transport = FactoryOf({.name = "bob"})});
  const auto channel =
      // At step 2 the dialer would confirm: it has read the server's name by then.
      logged.server->Connect({.transport = FactoryOf({.name = "ann", .fails_at = 2})});
  const absl::StatusOr<EchoReply> reply =
      EchoService::Stub(*channel).Echo(RequestOf(""), {.timeout = kForever});
  EXPECT_THAT(reply.status(), IsStatus(absl::StatusCode::kUnauthenticated,
                                       AllOf(HasSubstr("weft.test.EchoService/Echo"),
                                             HasSubstr(" (dialled): not your name (to "))));
  EXPECT_TRUE(logged.Says("server: handshake failed: ", " (accepted): the peer has gone (from "));
}

TEST(TransportHandshake, OfAPlainClientFails) {
  NamingEcho service;
  LoggedServer logged(service, {.transport = FactoryOf({.name = "bob"})});
  RawPeer plain = RawPeer::ConnectTo(logged.server->port());
  plain.Send(raw::Opening());
  EXPECT_TRUE(plain.WaitForClose());
  EXPECT_TRUE(logged.Closed(CloseReason::kHandshakeFailed, 1));
}

TEST(TransportHandshake, ThatIsNotAnsweredEndsWithTheConnectTimeout) {
  ManualClock clock;
  RawListener silent;
  const auto factory = FactoryOf({.name = "ann"});
  const auto channel = ChannelTo(silent.address(), {.runtime = RuntimeOf({.clock = &clock}),
                                                    .transport = factory,
                                                    .connect_timeout = absl::Seconds(3)});
  EchoResult result;
  EchoService::Stub(*channel).EchoAsync(RequestOf(""), {.timeout = kForever}, Into(result));
  RawPeer accepted = silent.Accept();
  EXPECT_EQ(accepted.Read(5), StepFactory::Greeting('A', "ann"));
  clock.Advance(absl::Seconds(3));
  EXPECT_THAT(result.Wait().status(),
              IsStatus(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("(dialled): the peer has not answered in time (to "),
                             HasSubstr(", after 3000.0 ms)"))));
}

TEST(TransportHandshake, MayBeUnderWayWhenTheChannelGoes) {
  RawListener silent;
  auto channel = ChannelTo(silent.address(), {.transport = FactoryOf({.name = "ann"})});
  EchoResult result;
  EchoService::Stub(*channel).EchoAsync(RequestOf(""), {.timeout = kForever}, Into(result));
  RawPeer accepted = silent.Accept();
  EXPECT_EQ(accepted.Read(5), StepFactory::Greeting('A', "ann"));
  channel.reset();
  EXPECT_THAT(result.Wait().status(), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(accepted.WaitForClose());
}

TEST(TransportHandshake, LeavesTheBytesBehindItToTheSession) {
  NamingEcho service;
  TestServer server(service, ServerOptions{.transport = FactoryOf({.name = "bob"})});
  RawPeer client = RawPeer::ConnectTo(server.port());
  client.Send(StepFactory::Greeting('A', "ann"));
  ASSERT_EQ(client.Read(5), StepFactory::Greeting('B', "bob"));
  // One segment: nothing that comes later makes the socket readable again.
  client.Send("C" + raw::Opening() + raw::Request({.id = 1, .message = raw::Text("")}));
  ASSERT_EQ(client.Read(8), raw::Preface());
  const std::optional<RawFrame> reply = client.ReadFrame(native::FrameType::kResponse);
  ASSERT_TRUE(reply.has_value());
  EXPECT_THAT(reply->body, HasSubstr("ann"));
}

// The handshakes of transport and protocol have one limit together.
TEST(TransportHandshake, LeavesTheProtocolsTheRestOfTheTime) {
  NamingEcho service;
  LoggedServer logged(
      service,
      {.transport = FactoryOf({.name = "bob"}), .limits = {.handshake_timeout = absl::Seconds(5)}},
      std::make_shared<ManualClock>());
  RawPeer client = RawPeer::ConnectTo(logged.server->port());
  client.Send(StepFactory::Greeting('A', "ann"));
  ASSERT_EQ(client.Read(5), StepFactory::Greeting('B', "bob"));
  logged.clock->Advance(absl::Seconds(4));
  // The transport's handshake ends here, and no preface follows. The answer to another client, on
  // the same loop, says that the server has read it.
  client.Send("C");
  RawPeer other = RawPeer::ConnectTo(logged.server->port());
  other.Send(StepFactory::Greeting('A', "one that comes later"));
  ASSERT_EQ(other.Read(5), StepFactory::Greeting('B', "bob"));
  logged.clock->Advance(absl::Seconds(1));
  EXPECT_TRUE(client.WaitForClose());
  EXPECT_TRUE(logged.Closed(CloseReason::kHandshakeTimeout, 1));
  // The other client began four seconds later and has time left.
  EXPECT_EQ((*logged.server)->connections().open, 1);
}

// Half-open ones in memory: a thousand sockets would be more descriptors than a process has.
class HalfOpenConnections : public testing::Test {
 protected:
  void Begin(ServerOptions options) {
    options.network = network_;
    options.runtime = RuntimeOf({.clock = &clock_});
    options.transport = FactoryOf({.name = "bob"});
    server_ = std::make_unique<Server>(std::move(options));
    ASSERT_EQ(server_->Register(service_), absl::OkStatus());
    ASSERT_EQ(server_->Start("inproc:store"), absl::OkStatus());
  }
  // Each has sent `said`, and nothing follows.
  void Open(int n, const std::string& said) {
    for (int i = 0; i < n; ++i) {
      absl::StatusOr<std::unique_ptr<Transport>> end = network_->Dial("store", clock_);
      ASSERT_TRUE(end.ok()) << end.status();
      const iovec piece{const_cast<char*>(said.data()), said.size()};
      ASSERT_EQ((*end)->Write(&piece, said.empty() ? 0 : 1), static_cast<ssize_t>(said.size()));
      ends_.push_back(*std::move(end));
    }
  }
  [[nodiscard]] bool AreOpen(int64_t n) {
    return PollUntil([&] { return server_->connections().open == n; });
  }
  std::unique_ptr<Channel> Connect() {
    return ChannelTo("inproc:store", {.runtime = RuntimeOf({.clock = &clock_}),
                                      .network = network_,
                                      .transport = FactoryOf({.name = "ann"})});
  }

  ManualClock clock_;
  NamingEcho service_;
  std::shared_ptr<InProcessNetwork> network_ = InProcessNetwork::Create();
  std::unique_ptr<Server> server_;
  std::vector<std::unique_ptr<Transport>> ends_;
};

TEST_F(HalfOpenConnections, AThousandHoldUpNobodyAndEndInTime) {
  Begin({.limits = {.handshake_timeout = absl::Seconds(5)}});
  // Nothing, a part of the greeting, all but its end, all of it: each waits at another step.
  Open(300, "");
  Open(300, "A");
  Open(300, StepFactory::Greeting('A', "mallory").substr(0, 4));
  Open(100, StepFactory::Greeting('A', "mallory"));
  ASSERT_TRUE(AreOpen(1000));
  const auto channel = Connect();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(NameSeenBy(*channel), "ann");
  EXPECT_EQ(server_->connections().open, 1001);
  EXPECT_EQ(server_->closed(CloseReason::kHandshakeTimeout), 0);
  clock_.Advance(absl::Seconds(5));
  EXPECT_TRUE(AreOpen(1));
  EXPECT_TRUE(PollUntil([&] { return server_->closed(CloseReason::kHandshakeTimeout) == 1000; }));
  EXPECT_EQ(NameSeenBy(*channel), "ann");
}

TEST_F(HalfOpenConnections, CountAsConnections) {
  Begin({.max_connections = 2});
  Open(2, "A");
  ASSERT_TRUE(AreOpen(2));
  EXPECT_THAT(NameSeenBy(*Connect()), HasSubstr("the peer has gone"));
  ends_.pop_back();
  ASSERT_TRUE(AreOpen(1));
  EXPECT_EQ(NameSeenBy(*Connect()), "ann");
}

TEST_F(HalfOpenConnections, AreDroppedWhenTheServerStops) {
  Begin({});
  Open(10, "A");
  ASSERT_TRUE(AreOpen(10));
  server_->Stop(kForever);
  EXPECT_EQ(server_->connections().open, 0);
  EXPECT_EQ(server_->closed(CloseReason::kLocal), 10);
  char byte;
  const iovec piece{&byte, 1};
  EXPECT_EQ(ends_[0]->Read(&piece, 1), 0);
}

}  // namespace
}  // namespace weft::test
