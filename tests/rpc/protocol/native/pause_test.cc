// One side of a connection stops reading while its output waits: the accepting one, unless the
// sessions are told otherwise.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "tests/support/fed_transport.h"
#include "tests/support/raw_frames.h"
#include "tests/support/watched.h"
#include "weft/core/loop_group.h"
#include "weft/rpc/protocol/native/native_session.h"

namespace weft::internal::native {
namespace {

class Host final : public SessionHost {
 public:
  absl::Status OnIdentified(Session& session, const ConnectedPeer&, const HelloFacts&,
                            HelloFacts*) override {
    if (may.has_value() && !when_up) session.SetMayPause(*may);
    return absl::OkStatus();
  }
  void OnUp(Session& session) override {
    if (may.has_value() && when_up) session.SetMayPause(*may);
  }
  void OnGoingAway(Session&, const absl::Status&) override {}
  void OnEnded(Session&, CloseReason why, const absl::Status&) override {
    reason = why;
    ended.Notify();
  }
  void Authenticate(Session&, std::string_view, Verdict verdict) override {
    verdict(std::string());
  }
  void CountLateReply() override {}

  // Unset: the session is told nothing. `when_up`: told in OnUp, not before the session is up.
  std::optional<bool> may;
  bool when_up = false;
  CloseReason reason{};
  Notification ended;
};

class PauseTest : public testing::Test {
 protected:
  PauseTest() {
    EventLoopOptions options;
    options.spin = Nanos::zero();
    group_ = *LoopGroup::Create(1, options);
  }
  void Run(const std::function<void()>& closure) {
    Notification done;
    group_->At(0).loop->Post([&](TaskFate) {
      closure();
      done.Notify();
    });
    ASSERT_TRUE(done.Wait());
  }
  std::unique_ptr<NativeSession> Make(bool dialer, Host& host, FedStream& stream, bool pair) {
    NativeSessionOptions options;
    options.dialer = dialer;
    options.pair = pair;
    SessionLimits limits;
    limits.heartbeat_interval = absl::ZeroDuration();
    limits.max_output_bytes = 100'000;
    options.limits = std::make_shared<const SessionLimits>(limits);
    return std::make_unique<NativeSession>(group_->At(0), host, nullptr, nullptr,
                                           std::make_unique<FedTransport>(stream), "peer",
                                           std::move(options));
  }

  std::unique_ptr<LoopGroup> group_;
};

// The peer sends calls that all are answered, and takes nothing.
TEST_F(PauseTest, IsOfTheAcceptingSideUnlessTheSessionIsTold) {
  for (const bool dialer : {true, false}) {
    for (const std::optional<bool> may : {std::optional<bool>(), {true}, {false}}) {
      for (const bool when_up : {true, false}) {
        SCOPED_TRACE(testing::Message() << (dialer ? "dialer " : "acceptor ")
                                        << (may.has_value() ? *may ? "may" : "may not" : "")
                                        << (when_up ? " when up" : ""));
        Host host;
        host.may = may;
        host.when_up = when_up;
        FedStream stream;
        stream.input = raw::Opening();
        // Each gets an error of about 90 bytes. 360 KB are far over a quarter of max_output_bytes,
        // where reading pauses, and below the 1.2 MB at which a peer that does not read is given
        // up.
        for (uint64_t id = 1; id <= 4'000; ++id) stream.input += raw::Request({.id = id});
        stream.next_read = [] { return size_t{1'000}; };
        stream.blocked = true;
        std::unique_ptr<NativeSession> session;
        Run([&] {
          session = Make(dialer, host, stream, /*pair=*/true);
          ASSERT_TRUE(session->Start().ok());
        });
        if (may.value_or(!dialer)) {
          // Many more turns than it would take to read everything.
          for (int i = 0; i < 100; ++i) {
            Run([&] { EXPECT_LT(stream.at, stream.input.size()); });
          }
          EXPECT_FALSE(host.ended.HasHappened());
          stream.blocked = false;
          EXPECT_TRUE(host.ended.Wait());
        } else {
          EXPECT_TRUE(host.ended.Wait()) << "the end of what the peer says is seen";
        }
        Run([&] {
          EXPECT_EQ(host.reason, CloseReason::kPeerClosed);
          session.reset();
        });
      }
    }
  }
}

TEST_F(PauseTest, OfAPairLittleWaitsInTheSystemBelow) {
  for (const bool pair : {false, true}) {
    Host host;
    FedStream stream;
    stream.next_read = [] { return size_t{1'000}; };
    std::unique_ptr<NativeSession> session;
    Run([&] {
      session = Make(/*dialer=*/false, host, stream, pair);
      // Between nodes a PING must not stand behind much output in the system's buffer.
      EXPECT_EQ(stream.max_unsent, pair ? size_t{128} << 10 : 0);
      ASSERT_TRUE(session->Start().ok());
    });
    EXPECT_TRUE(host.ended.Wait());
    Run([&] { session.reset(); });
  }
}

}  // namespace
}  // namespace weft::internal::native
