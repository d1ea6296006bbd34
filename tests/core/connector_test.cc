// Dials of a connector: over real sockets and the system's clock in the first part, and from there
// on over a manual clock, with names from a hosts file or a scripted name server.
#include "weft/core/connector.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "tests/support/scripted_dns.h"
#include "tests/support/temp_dir.h"
#include "tests/support/watched.h"
#include "weft/core/plain_transport.h"

namespace weft::internal {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

using Result = absl::StatusOr<std::unique_ptr<Transport>>;

Socket Listen(const std::string& text, int backlog = 16) {
  absl::StatusOr<Socket> socket = Socket::Listen(*SocketAddress::Parse(text), backlog);
  EXPECT_TRUE(socket.ok()) << socket.status();
  return *std::move(socket);
}

// A listener whose queue is full: it answers nobody any more, as a machine behind a firewall would.
class SilentListener {
 public:
  explicit SilentListener(const std::string& text = "127.0.0.1:0")
      : listener_(Listen(text, 0)), address_(*listener_.LocalAddress()) {
    // Connects until one is left unanswered.
    for (int i = 0; i < 64; ++i) {
      bool connected = false;
      absl::StatusOr<Socket> socket = Socket::StartConnect(address_, &connected);
      EXPECT_TRUE(socket.ok()) << socket.status();
      pollfd wait{socket->fd(), POLLOUT, 0};
      // The kernel drops the packets of a connect when the queue is full. 100 ms are long for an
      // answer from loopback.
      const bool answered = connected || ::poll(&wait, 1, 100) == 1;
      queued_.push_back(*std::move(socket));
      if (!answered) return;
    }
    ADD_FAILURE() << "its queue never fills";
  }
  std::string text() const { return address_.ToString(); }
  uint16_t port() const { return address_.port(); }

 private:
  const Socket listener_;
  const SocketAddress address_;
  std::vector<Socket> queued_;
};

class ConnectorTest : public testing::Test {
 protected:
  ConnectorTest() {
    thread_.Run([this] { connector_ = std::make_unique<Connector>(thread_.loop()); });
  }
  ~ConnectorTest() override {
    thread_.Run([this] { connector_.reset(); });
    thread_.Settle();
  }
  void Start(const std::string& text, Nanos limit, Connector::OnConnected done) {
    thread_.Run([&] { connector_->Start(*HostPort::Parse(text), text, limit, std::move(done)); });
  }
  // Waits for the end of one connect. Returns its error, or OK and sets the connected transport.
  absl::Status Connect(const std::string& text, Nanos limit,
                       std::unique_ptr<Transport>* transport = nullptr) {
    Watched<std::optional<absl::Status>> ended;
    Start(text, limit, [&](Result r) {
      if (r.ok() && transport != nullptr) *transport = *std::move(r);
      ended.Set(r.status());
    });
    EXPECT_TRUE(ended.WaitFor([](const auto& e) { return e.has_value(); }));
    return *ended.Get();
  }

  LoopThread thread_;
  std::unique_ptr<Connector> connector_;
};

TEST_F(ConnectorTest, ConnectsOverTcpAndUnix) {
  const TempDir dir;
  for (const std::string& text :
       {std::string("127.0.0.1:0"), std::string("[::1]:0"), "unix:" + dir.path() + "/s"}) {
    const Socket listener = Listen(text);
    std::unique_ptr<Transport> transport;
    EXPECT_TRUE(Connect(listener.LocalAddress()->ToString(), seconds(30), &transport).ok()) << text;
    ASSERT_NE(transport, nullptr);
    Socket socket(::dup(static_cast<PlainTransport&>(*transport).fd()));
    EXPECT_EQ(socket.PeerAddress()->ToString(), listener.LocalAddress()->ToString());
  }
}

TEST_F(ConnectorTest, NeverCallsBackInsideStart) {
  const TempDir dir;
  const Socket listener = Listen("unix:" + dir.path() + "/s");
  // One connect succeeds at once, one fails at once, and one address cannot be dialled.
  for (const std::string& text :
       {listener.LocalAddress()->ToString(), "unix:" + dir.path() + "/none",
        std::string("[fe80::1%none]:1")}) {
    Notification done;
    bool inside = true;
    thread_.Run([&] {
      connector_->Start(*HostPort::Parse(text), text, seconds(30), [&](Result) {
        EXPECT_FALSE(inside) << text;
        done.Notify();
      });
      inside = false;
    });
    ASSERT_TRUE(done.Wait());
  }
}

TEST_F(ConnectorTest, ConnectsToAName) {
  const Socket listener = Listen("127.0.0.1:0");
  const uint16_t port = listener.LocalAddress()->port();
  std::unique_ptr<Transport> transport;
  const absl::Status status = Connect("localhost:" + std::to_string(port), seconds(30), &transport);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_NE(transport, nullptr);
}

TEST_F(ConnectorTest, ARefusalNamesPhasePeerReasonAndTime) {
  std::string text;
  {
    // Nobody listens at this port once the listener has gone.
    const Socket listener = Listen("127.0.0.1:0");
    text = listener.LocalAddress()->ToString();
  }
  const absl::Status status = Connect(text, seconds(30));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  const std::string message(status.message());
  EXPECT_NE(message.find("connect: Connection refused (to " + text + ", after "), std::string::npos)
      << message;
  EXPECT_NE(message.find(" ms)"), std::string::npos) << message;
  // The time is said once, by the connector alone.
  EXPECT_EQ(message.find("after "), message.rfind("after ")) << message;
}

TEST_F(ConnectorTest, AMissingUnixFileIsUnavailableAndNamed) {
  const TempDir dir;
  const std::string text = "unix:" + dir.path() + "/none";
  const absl::Status status = Connect(text, seconds(30));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.message().find("(to " + text + ", after "), absl::string_view::npos) << status;
}

// A real socket and a real clock: the only test that no manual clock can stand in for.
TEST_F(ConnectorTest, TheDeadlineEndsAConnectThatNobodyAnswers) {
  const SilentListener silent;
  const absl::Status status = Connect(silent.text(), milliseconds(30));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.message().find("connect: no answer (to " + silent.text() + ", after "),
            absl::string_view::npos)
      << status;
}

TEST_F(ConnectorTest, TheDeadlineCoversTheLookupToo) {
  // The Status says which phase it was, both if a name server answers "no" and if none answers.
  const absl::Status status = Connect("no-such-host.invalid:1", milliseconds(30));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.message().find("resolve no-such-host.invalid"), absl::string_view::npos)
      << status;
}

TEST_F(ConnectorTest, DoesNotCallBackAfterCancel) {
  const SilentListener silent;
  int called = 0, before = 0;
  Start(silent.text(), milliseconds(5), [&](Result) { ++called; });
  thread_.Run([&] {
    before = called;  // on a slow machine its time has come already
    connector_->Cancel();
  });
  const Socket listener = Listen("127.0.0.1:0");
  EXPECT_TRUE(Connect(listener.LocalAddress()->ToString(), seconds(30)).ok());
  EXPECT_EQ(called, before);
}

TEST_F(ConnectorTest, CancelIsLegalInEveryState) {
  const SilentListener silent;
  enum class State { kIdle, kBegun, kResolving, kConnecting };
  for (const State state : {State::kIdle, State::kBegun, State::kResolving, State::kConnecting}) {
    SCOPED_TRACE(static_cast<int>(state));
    const std::string text =
        state == State::kResolving ? std::string("no-such-host.invalid:1") : silent.text();
    bool cancelled = false;
    thread_.Run([&] {
      if (state == State::kIdle) return;
      connector_->Start(*HostPort::Parse(text), text, seconds(9), [&](Result) {
        // A name server near by may have answered before the cancel.
        EXPECT_FALSE(cancelled);
      });
      if (state == State::kBegun) connector_->Cancel();
      cancelled = state == State::kBegun;
    });
    // The lookup or the connect has begun when the loop has settled.
    thread_.Settle();
    thread_.Run([&] {
      connector_->Cancel();
      cancelled = true;
    });
    thread_.Settle();
  }
}

TEST_F(ConnectorTest, MayBeDestroyedWhileItConnectsOrLooksUp) {
  const SilentListener silent;
  for (const std::string& text : {silent.text(), std::string("no-such-host.invalid:1")}) {
    std::unique_ptr<Connector> connector;
    bool destroyed = false;
    thread_.Run([&] {
      connector = std::make_unique<Connector>(thread_.loop());
      connector->Start(*HostPort::Parse(text), text, seconds(9),
                       [&](Result) { EXPECT_FALSE(destroyed); });
    });
    thread_.Settle();
    thread_.Run([&] {
      connector.reset();
      destroyed = true;
    });
    thread_.Settle();
  }
}

TEST_F(ConnectorTest, MayBeDestroyedOrRestartedInsideItsCallback) {
  const Socket listener = Listen("127.0.0.1:0");
  const std::string good = listener.LocalAddress()->ToString();
  std::string bad;
  {
    const Socket gone = Listen("127.0.0.1:0");
    bad = gone.LocalAddress()->ToString();
  }
  // The first target connects, the second is refused by its peer, and the third fails before any
  // packet is sent.
  for (const std::string& text : {good, bad, std::string("[fe80::1%none]:1")}) {
    Notification done;
    std::unique_ptr<Connector> connector;
    thread_.Run([&] {
      connector = std::make_unique<Connector>(thread_.loop());
      connector->Start(*HostPort::Parse(text), text, seconds(30), [&](Result) {
        // Start once more from inside the callback, then destroy the connector from inside the
        // second one.
        connector->Start(*HostPort::Parse(good), good, seconds(30), [&](Result r) {
          EXPECT_TRUE(r.ok()) << r.status();
          connector.reset();
          done.Notify();
        });
      });
    });
    ASSERT_TRUE(done.Wait());
    thread_.Settle();
  }
}

// ---- Several addresses of a name. The manual clock moves only by Advance.

// A connector whose names come from a hosts file of the test's.
class ConnectorToAName : public testing::Test {
 protected:
  ConnectorToAName() {
    options_.hosts = dir_.path() + "/hosts";
    options_.resolv_conf = dir_.path() + "/resolv.conf";
    std::ofstream(options_.resolv_conf) << "nameserver 127.0.0.1\n";
  }
  ~ConnectorToAName() override {
    thread_.Run([this] { connector_.reset(); });
    thread_.Settle();
  }
  // Writes a hosts file in which "name" has these addresses.
  void Hosts(const std::vector<std::string>& addresses) {
    std::ofstream hosts(options_.hosts);
    for (const std::string& address : addresses) hosts << address << " name\n";
  }
  void Start(uint16_t port, Nanos limit = seconds(3), const std::string& name = "name") {
    ended_.Set(std::nullopt);
    const std::string text = name + ":" + std::to_string(port);
    thread_.Run([&] {
      if (connector_ == nullptr) {
        connector_ = std::make_unique<Connector>(thread_.loop(), nullptr, options_);
      }
      connector_->Start(*HostPort::Parse(text), text, limit, [this](Result r) {
        if (!r.ok()) {
          ended_.Set(std::string(r.status().message()));
          return;
        }
        const Socket socket(::dup(static_cast<PlainTransport&>(**r).fd()));
        ended_.Set(socket.PeerAddress()->ToString());
      });
    });
    thread_.Settle();
  }
  // Returns the peer's address, or the error.
  std::string End() {
    EXPECT_TRUE(ended_.WaitFor([](const auto& e) { return e.has_value(); }));
    return ended_.Get().value_or("");
  }
  bool Ended() { return ended_.Get().has_value(); }
  static std::string At(const std::string& ip, uint16_t port) {
    return ip + ":" + std::to_string(port);
  }
  // "name" has two addresses: the first answers nobody, the second listens.
  struct DeadAndLive {
    // All of 127.0.0.0/8 is this machine, so two of its addresses may use the same port.
    explicit DeadAndLive(ConnectorToAName& test)
        : port(dead.port()), live_at(At("127.0.0.2", port)), live(Listen(live_at)) {
      test.Hosts({"127.0.0.1", "127.0.0.2"});
    }
    const SilentListener dead;
    const uint16_t port;
    const std::string live_at;
    const Socket live;
  };
  // A name server that answers for IPv4 and never for IPv6.
  static ScriptedDns::Reply SilentOfIpv6(const ScriptedDns::Question& q) {
    return q.ipv6 ? ScriptedDns::Reply{.silent = true}
                  : ScriptedDns::Reply{.addresses = {"127.0.0.1"}};
  }

  const TempDir dir_;
  ResolverOptions options_;
  ManualClock clock_;
  LoopThread thread_{clock_};
  std::unique_ptr<Connector> connector_;
  Watched<std::optional<std::string>> ended_;
};

TEST_F(ConnectorToAName, TriesTheNextAddressAfterAHeadStart) {
  const DeadAndLive peers(*this);
  Start(peers.port);
  // A nanosecond earlier nothing may have happened: the head start is exact on a manual clock.
  thread_.Advance(Connector::kHeadStart - Nanos(1));
  EXPECT_FALSE(Ended());
  thread_.Advance(Nanos(1));
  EXPECT_EQ(End(), peers.live_at);
}

TEST_F(ConnectorToAName, DoesNotBeginWithTheAddressThatWasSlow) {
  const DeadAndLive peers(*this);
  Start(peers.port);
  thread_.Advance(Connector::kHeadStart);
  EXPECT_EQ(End(), peers.live_at);
  Start(peers.port);
  EXPECT_EQ(End(), peers.live_at) << "no time has passed";
}

TEST_F(ConnectorToAName, DoesNotBeginWithTheAddressThatCameToNothing) {
  const Socket one = Listen("127.0.0.1:0");
  const uint16_t port = one.LocalAddress()->port();
  const Socket two = Listen(At("127.0.0.2", port));
  Hosts({"127.0.0.1", "127.0.0.2"});
  Start(port);
  EXPECT_EQ(End(), At("127.0.0.1", port));
  Start(port);
  EXPECT_EQ(End(), At("127.0.0.1", port)) << "nothing was wrong with it";
  thread_.Run([this] { connector_->AvoidLast(); });
  Start(port);
  EXPECT_EQ(End(), At("127.0.0.2", port));
  thread_.Run([this] { connector_->AvoidLast(); });
  Start(port);
  EXPECT_EQ(End(), At("127.0.0.1", port)) << "its failure was longer ago";
}

TEST_F(ConnectorToAName, TriesTheNextAddressAtOnceWhereOneRefuses) {
  const Socket live = Listen("127.0.0.2:0");
  const uint16_t port = live.LocalAddress()->port();
  Hosts({"127.0.0.1", "127.0.0.2"});
  Start(port);
  // The clock stands still: no head start can have passed.
  EXPECT_EQ(End(), At("127.0.0.2", port));
}

TEST_F(ConnectorToAName, TakesBothFamilies) {
  const Socket live = Listen("127.0.0.1:0");
  const uint16_t port = live.LocalAddress()->port();
  Hosts({"::1", "127.0.0.1"});
  Start(port);
  // Nobody listens at ::1, which is tried first and refuses.
  EXPECT_EQ(End(), At("127.0.0.1", port));
}

TEST_F(ConnectorToAName, SharesTheTimeAmongManyAddresses) {
  const SilentListener dead;
  const uint16_t port = dead.port();
  const SilentListener dead2(At("127.0.0.2", port)), dead3(At("127.0.0.3", port));
  const Socket live = Listen(At("127.0.0.4", port));
  Hosts({"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"});
  // Four addresses share 400 ms, so each gets 100.
  Start(port, milliseconds(400));
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(Ended());
    thread_.Advance(milliseconds(100));
  }
  EXPECT_EQ(End(), At("127.0.0.4", port));
}

TEST_F(ConnectorToAName, AnErrorNamesEachAddress) {
  const SilentListener dead;
  const uint16_t port = dead.port();
  // Nobody listens at 127.0.0.2, so it refuses at once.
  Hosts({"127.0.0.2", "127.0.0.1"});
  Start(port);
  thread_.Advance(seconds(3));
  const std::string text = End();
  EXPECT_NE(text.find("connect: no answer from " + At("127.0.0.1", port) + " (to " +
                      At("name", port) + ", after 3000.0 ms); before that: "),
            std::string::npos)
      << text;
  EXPECT_NE(text.find(At("127.0.0.2", port) + ": Connection refused"), std::string::npos) << text;
}

TEST_F(ConnectorToAName, WaitsForTheIpv6AnswerNoLongerThanTheResolutionDelay) {
  const ScriptedDns dns(&SilentOfIpv6);
  options_.dns_port = dns.port();
  const Socket live = Listen("127.0.0.1:0");
  const uint16_t port = live.LocalAddress()->port();
  Start(port, seconds(3), "web.example");
  ASSERT_TRUE(dns.WaitUntilAnswered("web.example A"));
  // The loop has read the answer for IPv4; the delay counts from here.
  thread_.Settle();
  thread_.Advance(Connector::kResolutionDelay - Nanos(1));
  EXPECT_FALSE(Ended());
  thread_.Advance(Nanos(1));
  EXPECT_EQ(End(), At("127.0.0.1", port));
}

TEST_F(ConnectorToAName, HasAResolutionDelayThatFitsIntoAShortLimit) {
  const ScriptedDns dns(&SilentOfIpv6);
  options_.dns_port = dns.port();
  const Socket live = Listen("127.0.0.1:0");
  const uint16_t port = live.LocalAddress()->port();
  Start(port, milliseconds(40), "web.example");
  ASSERT_TRUE(dns.WaitUntilAnswered("web.example A"));
  thread_.Settle();
  // The delay shrinks to a quarter of the limit, which is less than kResolutionDelay.
  thread_.Advance(milliseconds(10));
  EXPECT_EQ(End(), At("127.0.0.1", port));
}

TEST_F(ConnectorToAName, BeginsWithIpv6WhileTheIpv4AnswerIsMissing) {
  const ScriptedDns dns([](const ScriptedDns::Question& q) {
    return q.ipv6 ? ScriptedDns::Reply{.addresses = {"::1"}} : ScriptedDns::Reply{.silent = true};
  });
  options_.dns_port = dns.port();
  const Socket live = Listen("[::1]:0");
  const uint16_t port = live.LocalAddress()->port();
  Start(port, seconds(3), "web.example");
  // The clock stands still, so this connect waited for no delay.
  EXPECT_EQ(End(), At("[::1]", port));
}

TEST_F(ConnectorToAName, GivesTheLookupTwoThirdsOfTheTime) {
  const ScriptedDns dns(
      [](const ScriptedDns::Question&) { return ScriptedDns::Reply{.silent = true}; });
  options_.dns_port = dns.port();
  // Nothing is dialled, so the port means nothing.
  Start(1, seconds(3), "web.example");
  thread_.Advance(seconds(2) - Nanos(1));
  EXPECT_FALSE(Ended());
  thread_.Advance(Nanos(1));
  EXPECT_NE(End().find("resolve web.example: no answer from the name servers within 2000.0 ms"),
            std::string::npos)
      << End();
}

TEST_F(ConnectorToAName, ClosesTheAttemptsThatLost) {
  const DeadAndLive peers(*this);
  const auto open_descriptors = [] {
    size_t n = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      n += entry.path().empty() ? 0 : 1;
    }
    return n;
  };
  Start(peers.port);
  // The socket of the attempt that nobody answers is among them.
  const size_t before = open_descriptors();
  thread_.Advance(Connector::kHeadStart);
  EXPECT_EQ(End(), peers.live_at);
  thread_.Settle();
  EXPECT_EQ(open_descriptors(), before - 1) << "the dead one's, and that of the test's own end";
}

TEST(ConnectorOnManualClock, ItsLimitIsTheLoopsTime) {
  const SilentListener silent;
  ManualClock clock;
  LoopThread thread(clock);
  std::unique_ptr<Connector> connector;
  std::optional<absl::Status> ended;
  thread.Run([&] {
    connector = std::make_unique<Connector>(thread.loop());
    connector->Start(*HostPort::Parse(silent.text()), silent.text(), seconds(3),
                     [&](Result r) { ended = r.status(); });
  });
  thread.Advance(seconds(3) - Nanos(1));
  EXPECT_FALSE(ended.has_value());
  thread.Advance(Nanos(1));
  ASSERT_TRUE(ended.has_value());
  EXPECT_NE(ended->message().find(", after 3000.0 ms)"), absl::string_view::npos) << *ended;
  thread.Run([&] { connector.reset(); });
}

}  // namespace
}  // namespace weft::internal
