#include "weft/core/connector.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "tests/support/temp_dir.h"
#include "tests/support/watched.h"
#include "weft/core/plain_transport.h"

namespace weft {
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
  SilentListener() : listener_(Listen("127.0.0.1:0", 0)), address_(*listener_.LocalAddress()) {
    // Connects until one is left unanswered.
    for (int i = 0; i < 64; ++i) {
      bool connected = false;
      absl::StatusOr<Socket> socket = Socket::StartConnect(address_, &connected);
      EXPECT_TRUE(socket.ok()) << socket.status();
      pollfd wait{socket->fd(), POLLOUT, 0};
      const bool answered = connected || ::poll(&wait, 1, 100) == 1;
      queued_.push_back(*std::move(socket));
      if (!answered) return;
    }
    ADD_FAILURE() << "its queue never fills";
  }
  std::string text() const { return address_.ToString(); }

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
  // Waits for the end of one connect; says its error, or "" and the connected transport.
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
  for (const std::string& text : {listener.LocalAddress()->ToString(),
                                  "unix:" + dir.path() + "/none", std::string(300, 'x') + ":1"}) {
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
    const Socket listener = Listen("127.0.0.1:0");
    text = listener.LocalAddress()->ToString();
  }
  const absl::Status status = Connect(text, seconds(30));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  const std::string message(status.message());
  EXPECT_NE(message.find("connect " + text + ": Connection refused (after "), std::string::npos)
      << message;
  EXPECT_NE(message.find(" ms)"), std::string::npos) << message;
  EXPECT_EQ(message.find("(after"), message.rfind("(after")) << message;
}

TEST_F(ConnectorTest, AMissingUnixFileIsUnavailableAndNamed) {
  const TempDir dir;
  const std::string text = "unix:" + dir.path() + "/none";
  const absl::Status status = Connect(text, seconds(30));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.message().find("connect " + text), absl::string_view::npos) << status;
}

TEST_F(ConnectorTest, TheDeadlineEndsAConnectThatNobodyAnswers) {
  const SilentListener silent;
  const absl::Status status = Connect(silent.text(), milliseconds(30));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.message().find("connect " + silent.text() + ": no answer (after "),
            absl::string_view::npos)
      << status;
}

TEST_F(ConnectorTest, TheDeadlineCoversTheLookupToo) {
  // Whether a name server answers "no" or nobody answers at all: a Status that says which phase it
  // was.
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
        // A name server near by may have answered before.
        EXPECT_FALSE(cancelled);
      });
      if (state == State::kBegun) connector_->Cancel();
      cancelled = state == State::kBegun;
    });
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
  for (const std::string& text : {good, bad, std::string(300, 'x') + ":1"}) {
    Notification done;
    std::unique_ptr<Connector> connector;
    thread_.Run([&] {
      connector = std::make_unique<Connector>(thread_.loop());
      connector->Start(*HostPort::Parse(text), text, seconds(30), [&](Result) {
        // Once more, from inside; and then its end.
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
  EXPECT_NE(ended->message().find("(after 3000.0 ms)"), absl::string_view::npos) << *ended;
  thread.Run([&] { connector.reset(); });
}

}  // namespace
}  // namespace weft
