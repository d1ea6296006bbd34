// A server's authenticator, and everybody who does not wait for it: the calls of others, Stop, and
// connections that have gone. Peers made of bytes hold their handshakes open for as long as the
// test says.
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/protos/ledger.weft.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "weft/core/manual_clock.h"

namespace weft::test {

using namespace internal;

namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

constexpr absl::Duration kForever = absl::InfiniteDuration();

// An authenticator that keeps everybody waiting whose token is "slow", until it is let go.
class Gatekeeper {
 public:
  Authenticator Authenticate() {
    return [this](std::string_view token, const std::string&) -> absl::StatusOr<std::string> {
      asked.Update([&](auto& all) { all.emplace_back(token); });
      if (token == "slow") {
        EXPECT_TRUE(open.Wait());
      }
      if (token == "bad") return absl::UnauthenticatedError("who are you?");
      return std::string(token);
    };
  }
  [[nodiscard]] bool AskedFor(size_t n) {
    return asked.WaitFor([&](const auto& all) { return all.size() >= n; });
  }
  Notification open;
  Watched<std::vector<std::string>> asked;
};

std::vector<RawPeer> Open(const TestServer& server, int n, const std::string& token) {
  std::vector<RawPeer> peers;
  for (int i = 0; i < n; ++i) {
    peers.push_back(RawPeer::ConnectTo(server.port()));
    peers.back().Send(raw::Opening({.token = token}));
    // The server's Hello says that ours is being read.
    EXPECT_EQ(peers.back().Read(8), raw::Preface());
    EXPECT_TRUE(peers.back().ReadFrame().has_value());
  }
  return peers;
}
// Expects the server to have read all that `peer` has sent so far: PING is answered behind it, also
// before the verdict.
void ExpectPong(RawPeer& peer) {
  peer.Send(raw::Ping(1));
  EXPECT_TRUE(peer.ReadFrame(native::FrameType::kPing).has_value());
}

TEST(Authenticator, NeverHoldsUpTheCallsOfOthers) {
  HookedEcho service;
  Gatekeeper gate;
  TestServer server(service,
                    ServerOptions{.worker_threads = 1, .authenticator = gate.Authenticate()});
  const auto channel = server.Connect({.auth_token = "good"});
  EchoService::Stub stub(*channel);
  EXPECT_TRUE(stub.Echo(RequestOf("x"), {.timeout = kForever}).ok());
  std::vector<RawPeer> slow = Open(server, 20, "slow");
  // The channel's own question, and one for each of the two threads that a server has by default.
  ASSERT_TRUE(gate.AskedFor(1 + 2));
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(stub.Echo(RequestOf("x"), {.timeout = kForever}).ok());
  }
  EXPECT_EQ(gate.asked.Get().size(), 3u) << "by as many threads as there are";
  gate.open.Notify();
}

TEST(Authenticator, IsNotAskedForConnectionsThatHaveGone) {
  HookedEcho service;
  Gatekeeper gate;
  TestServer server(
      service, ServerOptions{.authenticator = gate.Authenticate(), .authenticator_threads = 1});
  std::vector<RawPeer> slow = Open(server, 1, "slow");
  ASSERT_TRUE(gate.AskedFor(1));
  std::vector<RawPeer> gone = Open(server, 5, "bad");
  // A request behind the Hello is kept until the verdict. PING is answered at once, so its answer
  // says that all before it has been read.
  for (RawPeer& peer : gone) {
    peer.Send(raw::Request({.id = 1}));
    ExpectPong(peer);
  }
  gone.clear();
  // The server has forgotten the five, and their questions with them.
  EXPECT_TRUE(PollUntil([&] { return server->connections().open == 1; }));
  const auto channel = server.Connect({.auth_token = "good"});
  EchoResult result;
  EchoService::Stub(*channel).EchoAsync(RequestOf("x"), {.timeout = kForever}, Into(result));
  gate.open.Notify();
  EXPECT_TRUE(result.Wait().ok());
  EXPECT_THAT(gate.asked.Get(), ElementsAre("slow", "good"));
}

TEST(Authenticator, RefusesThoseThatWouldWaitBehindTooMany) {
  HookedEcho service;
  Gatekeeper gate;
  RuntimeOptions runtime;
  const auto log = std::make_shared<CollectedLog>();
  runtime.log_sink = log;
  TestServer server(service, ServerOptions{.runtime = RuntimeOf(std::move(runtime)),
                                           .authenticator = gate.Authenticate(),
                                           .authenticator_threads = 1,
                                           .max_waiting_authentications = 2});
  std::vector<RawPeer> slow = Open(server, 1, "slow");
  ASSERT_TRUE(gate.AskedFor(1));
  for (RawPeer& peer : Open(server, 2, "good")) slow.push_back(std::move(peer));
  // Each Hello was read, so both places to wait are taken.
  for (RawPeer& peer : slow) ExpectPong(peer);
  RawPeer late = std::move(Open(server, 1, "good")[0]);
  const std::optional<RawFrame> last = late.ReadFrame(native::FrameType::kGoAway);
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->header.aux, 14) << "UNAVAILABLE: it may come again";
  EXPECT_EQ(last->body, "too many connections wait to be authenticated");
  EXPECT_TRUE(late.WaitForClose());
  EXPECT_THAT(log->lines.Get(), Contains(HasSubstr("max_waiting_authentications")));
  gate.open.Notify();
  EXPECT_TRUE(gate.AskedFor(3));
}

// The drain is zero. Stop waits for the two authenticators that run, and drops the 18 connections
// that wait for a thread.
TEST(Authenticator, IsWaitedForByStopOnlyWhereItRuns) {
  HookedEcho service;
  Gatekeeper gate;
  ManualClock clock;
  RuntimeOptions runtime;
  const auto log = std::make_shared<CollectedLog>();
  runtime.log_sink = log;
  runtime.clock = &clock;
  TestServer server(service, ServerOptions{.runtime = RuntimeOf(std::move(runtime)),
                                           .authenticator = gate.Authenticate(),
                                           .drain = absl::ZeroDuration()});
  std::vector<RawPeer> peers = Open(server, 20, "slow");
  ASSERT_TRUE(gate.AskedFor(2));
  for (RawPeer& peer : peers) ExpectPong(peer);
  std::thread stopper([&] { server->Stop(); });
  for (RawPeer& peer : peers) EXPECT_TRUE(peer.WaitForClose());
  // Advances in small steps: the thread of Stop may arm its timer of five seconds behind the first
  // of them.
  EXPECT_TRUE(PollUntil([&] {
    clock.Advance(std::chrono::seconds(1));
    return !log->lines.Get().empty();
  }));
  EXPECT_THAT(log->lines.Get().front(),
              AllOf(HasSubstr("Stop waits for 0 handlers"), HasSubstr("2 authenticators")));
  gate.open.Notify();
  stopper.join();
  EXPECT_EQ(gate.asked.Get().size(), 2u) << "those that waited were dropped";
}

TEST(Authenticator, ThatThrowsRefusesTheConnectionAndIsLogged) {
  HookedEcho service;
  RuntimeOptions runtime;
  const auto log = std::make_shared<CollectedLog>();
  runtime.log_sink = log;
  TestServer server(service, ServerOptions{.runtime = RuntimeOf(std::move(runtime)),
                                           .authenticator = [](std::string_view, const std::string&)
                                               -> absl::StatusOr<std::string> {
                                             throw std::runtime_error("the token store is away");
                                           }});
  const auto channel = server.Connect();
  const absl::Status status =
      EchoService::Stub(*channel).Echo(RequestOf("x"), {.timeout = kForever}).status();
  // The text of the exception is for the operator alone. The client must not see it.
  EXPECT_THAT(status,
              IsStatus(absl::StatusCode::kInternal,
                       AllOf(HasSubstr("the authenticator threw"), Not(HasSubstr("store")))));
  EXPECT_TRUE(log->lines.WaitFor([](const auto& all) { return all.size() >= 2; }));
  EXPECT_THAT(log->lines.Get(), IsSupersetOf({HasSubstr("the token store is away"),
                                              HasSubstr("server: unauthenticated")}));
}

// A channel whose token is refused, under a clock that the test turns.
class RefusedChannel {
 public:
  explicit RefusedChannel(const TestServer& server, const std::string& token)
      : channel_(server.Connect({.runtime = RuntimeWith(&clock_), .auth_token = token})),
        stub_(*channel_) {}

  // A call that begins now: every one is told the same at once.
  void ExpectRefused(std::string_view text) {
    const absl::Status status = stub_.Echo(RequestOf("x"), {.timeout = kForever}).status();
    EXPECT_THAT(status, IsStatus(absl::StatusCode::kUnauthenticated, HasSubstr(std::string(text))));
    // The end of the connection comes behind that of the call.
    EXPECT_TRUE(PollUntil([&] {
      const Channel::Counts counts = channel_->counts();
      return counts.failed_connects == counts.connects;
    }));
  }
  void Advance(int steps) {
    for (int i = 0; i < steps; ++i) {
      clock_.Advance(absl::Milliseconds(100));
      ExpectRefused("the token is refused: who are you?");
    }
  }

 private:
  static std::shared_ptr<Runtime> RuntimeWith(const Clock* clock) {
    RuntimeOptions options;
    options.clock = clock;
    return RuntimeOf(std::move(options));
  }

  ManualClock clock_;
  const std::unique_ptr<Channel> channel_;
  EchoService::Stub stub_;
};

TEST(Authenticator, ThatRefusesAChannelIsAskedAgainAfterPausesThatGrow) {
  HookedEcho service;
  Gatekeeper gate;
  TestServer server(service, ServerOptions{.authenticator = gate.Authenticate()});
  RefusedChannel channel(server, "bad");
  channel.ExpectRefused("the token is refused: who are you?");
  // The first pause is a second, 0.8 s at least with its jitter: one more question fits in.
  channel.Advance(9);
  EXPECT_LE(gate.asked.Get().size(), 2u) << "within the first second";
  // Then pauses of 1.6, 2.6 and 4.1 s, each up to a fifth longer or shorter.
  channel.Advance(91);
  EXPECT_LE(gate.asked.Get().size(), 6u) << "within ten";
  EXPECT_GE(gate.asked.Get().size(), 4u) << "it goes on";
}

TEST(Authenticator, ThatRefusesAChannelWithoutATokenSaysSo) {
  HookedEcho service;
  TestServer server(service, ServerOptions{.authenticator = [](std::string_view, const std::string&)
                                               -> absl::StatusOr<std::string> {
                      return absl::UnauthenticatedError("who are you?");
                    }});
  RefusedChannel(server, "").ExpectRefused("no token was shown (auth_token): who are you?");
}

// The authenticator itself stops the server: Stop must not wait for the thread that it is called
// on.
TEST(Authenticator, MayStopItsServer) {
  HookedEcho service;
  Server* stopped = nullptr;
  TestServer server(service,
                    ServerOptions{.authenticator = [&](std::string_view, const std::string&) {
                      stopped->Stop();  // begins, and returns
                      return absl::StatusOr<std::string>("me");
                    }});
  stopped = &*server;
  const auto channel = server.Connect();
  const absl::Status status =
      EchoService::Stub(*channel).Echo(RequestOf("x"), {.timeout = absl::Seconds(20)}).status();
  // The verdict may come before the end has reached the connection's loop.
  EXPECT_TRUE(status.ok() || absl::IsUnavailable(status)) << status;
  server->Wait();
}

// Keeps the numbers of what came, in order.
class NumbersKept final : public Ledger::Service {
 public:
  Watched<std::vector<int64_t>> numbers;
  absl::Status Append(ServerContext&, Entry& entry, EntryReply& reply) override {
    numbers.Update([&](auto& all) { all.push_back(entry.number()); });
    reply.set_number(entry.number());
    return absl::OkStatus();
  }
};

// The first call is large: its first piece comes before the verdict, the last one long after.
TEST(Authenticator, LeavesOrderedCallsInTheOrderInWhichTheyBegan) {
  NumbersKept service;
  Gatekeeper gate;
  TestServer server(service, ServerOptions{.authenticator = gate.Authenticate()});
  RawPeer peer = std::move(Open(server, 1, "slow")[0]);
  ASSERT_TRUE(gate.AskedFor(1));
  // The first piece is 1,000 of 40,000 bytes, so the call is known to the server before the
  // verdict, and complete only when the test sends the rest.
  const std::string name = "weft.test.Ledger/Append";
  const std::string payload = std::string(40'000, 'x');
  Entry first;
  first.set_number(1);
  first.set_payload(payload);
  const std::string large = first.SerializeAsString();
  std::string calls = raw::Request({.id = 1,
                                    .number = 1,
                                    .name = name,
                                    .message = large.substr(0, 1'000),
                                    .more = static_cast<uint32_t>(large.size())});
  for (uint64_t id = 2; id <= 6; ++id) {
    Entry small;
    small.set_number(static_cast<int64_t>(id));
    calls +=
        raw::Request({.id = id, .number = 1, .name = "", .message = small.SerializeAsString()});
  }
  peer.Send(calls);
  ExpectPong(peer);
  gate.open.Notify();
  // Another request is answered, so the verdict is there.
  peer.Send(raw::Request({.id = 7, .name = "no.Such/Method"}));
  ASSERT_TRUE(peer.ReadFrame(native::FrameType::kResponse).has_value());
  EXPECT_TRUE(service.numbers.Get().empty()) << "something overtook the first";
  peer.Send(raw::Data(1, false, false, large.substr(1'000)));
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(peer.ReadFrame(native::FrameType::kResponse).has_value());
  }
  EXPECT_THAT(service.numbers.Get(), ElementsAre(1, 2, 3, 4, 5, 6));
}

// The first request is more than the 64 KiB that the server keeps before the verdict. The server
// stops reading, the client's own connection waits, and nothing is lost or overtaken.
TEST(Authenticator, LeavesOrderedCallsOfAChannelInOrder) {
  NumbersKept service;
  Gatekeeper gate;
  TestServer server(service, ServerOptions{.authenticator = gate.Authenticate()});
  const auto channel = server.Connect({.auth_token = "slow"});
  Ledger::Stub stub(*channel);
  Awaited<absl::StatusOr<EntryReply>> replies;
  for (int i = 1; i <= 6; ++i) {
    Entry entry;
    entry.set_number(i);
    if (i == 1) entry.set_payload(std::string(size_t{3} << 20, 'x'));
    stub.AppendAsync(entry, {.timeout = kForever},
                     [&](absl::StatusOr<EntryReply> reply) { replies.Add(std::move(reply)); });
  }
  ASSERT_TRUE(gate.AskedFor(1));
  gate.open.Notify();
  for (const auto& reply : replies.WaitForAll(6)) EXPECT_TRUE(reply.ok()) << reply.status();
  EXPECT_THAT(service.numbers.Get(), ElementsAre(1, 2, 3, 4, 5, 6));
}

}  // namespace
}  // namespace weft::test
