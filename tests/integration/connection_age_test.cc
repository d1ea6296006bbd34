// How connections end that have been open for long enough: announced, confirmed, closed.
#include <optional>
#include <string>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "weft/core/manual_clock.h"

namespace weft::test {

using namespace internal;

namespace {

using native::FrameType;

TEST(ConnectionAge, AnOldConnectionIsReplacedWithoutACallBeingLost) {
  HookedEcho service;
  TestServer server(service, ServerOptions{.max_connection_age = absl::Milliseconds(50)});
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EXPECT_TRUE(PollUntil([&] {
    // A connection that was up for so short a time is followed by a pause.
    EXPECT_EQ(stub.Echo(RequestOf("x"), {.wait_for_ready = true}).status(), absl::OkStatus());
    return server->connections().accepted >= 3 &&
           server->closed(CloseReason::kLocal) + server->closed(CloseReason::kPeerClosed) >= 2;
  }));
}

TEST(ConnectionAge, CallsOfAnOldConnectionGoOnWithinTheGrace) {
  HookedEcho service;
  TestServer server(service, ServerOptions{.max_connection_age = absl::Milliseconds(20)});
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EchoResult hung;
  stub.HangAsync(RequestOf("x"), {.timeout = absl::InfiniteDuration()}, Into(hung));
  ASSERT_TRUE(service.hanging.WaitForValue(1));
  // Others have moved to a new connection by now.
  EXPECT_TRUE(PollUntil([&] {
    EXPECT_TRUE(stub.Echo(RequestOf("x"), {.wait_for_ready = true}).ok());
    return server->connections().accepted >= 2;
  }));
  EXPECT_EQ(hung.count(), 0u);
  service.release.Notify();
  EXPECT_TRUE(hung.Wait().ok());
}

TEST(ConnectionAge, TheGraceEndsInCancelling) {
  HookedEcho service;
  TestServer server(service, ServerOptions{.max_connection_age = absl::Milliseconds(20),
                                           .max_connection_age_grace = absl::Milliseconds(20)});
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EchoResult hung;
  stub.HangAsync(RequestOf("x"), {.timeout = absl::InfiniteDuration()}, Into(hung));
  EXPECT_FALSE(hung.Wait().ok());
  EXPECT_TRUE(service.seen_cancelled.WaitForValue(1));
}

// A client that confirms when the test says, and a clock that the test moves.
class AgeOfARawClient : public testing::Test {
 protected:
  static constexpr absl::Duration kOld = absl::Hours(11);  // the age and its jitter are over
  static constexpr absl::Duration kGrace = absl::Minutes(1);

  ~AgeOfARawClient() override { server_.reset(); }

  void Start() {
    ServerOptions options{.runtime = RuntimeOf({.clock = &clock_}),
                          .max_connection_age = absl::Hours(10),
                          .max_connection_age_grace = kGrace};
    // One test moves the clock by the whole age while a handshake is under way.
    options.limits.handshake_timeout = absl::Hours(24);
    server_.emplace(service_, std::move(options));
    peer_ = RawPeer::ConnectTo((*server_)->port());
  }
  void Open() {
    peer_.Send(raw::Opening());
    EXPECT_EQ(peer_.Read(8), raw::Preface());
    EXPECT_TRUE(peer_.ReadFrame(FrameType::kHello).has_value());
    Settle();
  }
  // Returns when the server has taken everything that was sent.
  void Settle() {
    peer_.Send(raw::Ping(++pings_));
    std::optional<RawFrame> pong = peer_.ReadFrame(FrameType::kPing);
    // The server may ask whether its peer lives.
    while (pong.has_value() && !pong->header.has(native::kReply)) {
      pong = peer_.ReadFrame(FrameType::kPing);
    }
    ASSERT_TRUE(pong.has_value()) << "the connection has ended";
    EXPECT_EQ(pong->header.id, pings_);
  }
  uint64_t ReadGoAway() {
    const std::optional<RawFrame> goaway = peer_.ReadFrame(FrameType::kGoAway);
    if (!goaway.has_value()) {
      ADD_FAILURE() << "no GOAWAY";
      return 0;
    }
    EXPECT_EQ(goaway->body, "the connection has reached its max_connection_age");
    return goaway->header.id;
  }
  void Confirm() { peer_.Send(raw::GoAwayAck()); }
  // The first step, and the second one, which names `last`.
  void ConfirmBoth(uint64_t last) {
    peer_.Send(raw::GoAwayAck());
    EXPECT_EQ(ReadGoAway(), last);
    Confirm();
  }

  ManualClock clock_;
  HookedEcho service_;
  std::optional<TestServer> server_;
  RawPeer peer_;
  uint64_t pings_ = 0;
};

TEST_F(AgeOfARawClient, IsOverWhenItHasConfirmedAndARequestThatWasOnItsWayIsServedBefore) {
  Start();
  Open();
  clock_.Advance(kOld);
  EXPECT_EQ(ReadGoAway(), native::kNoCallNamed);
  EXPECT_EQ((*server_)->connection_list().at(0).state, ConnectionState::kGoingAway);
  // Still open: nothing has been confirmed.
  Settle();
  // The request left the client before the client heard of the end.
  peer_.Send(raw::Request({.id = 1}));
  const std::optional<RawFrame> served = peer_.ReadFrame(FrameType::kResponse);
  ASSERT_TRUE(served.has_value()) << "the connection has ended";
  EXPECT_EQ(served->header.aux, 0);
  ConfirmBoth(1);
  EXPECT_TRUE(peer_.WaitForClose());
  EXPECT_EQ(service_.entered.load(), 1);
}

TEST_F(AgeOfARawClient, GoesOnForCallsThatWereTakenBefore) {
  Start();
  Open();
  peer_.Send(raw::Request({.id = 1, .name = "weft.test.EchoService/Hang"}));
  ASSERT_TRUE(service_.hanging.WaitForValue(1));
  clock_.Advance(kOld);
  EXPECT_EQ(ReadGoAway(), native::kNoCallNamed);
  ConfirmBoth(1);
  // Both steps are confirmed, and the call alone keeps the connection.
  Settle();
  service_.release.Notify();
  const std::optional<RawFrame> reply = peer_.ReadFrame(FrameType::kResponse);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->header.aux, 0);
  EXPECT_TRUE(peer_.WaitForClose()) << "nobody has moved the clock";
}

TEST_F(AgeOfARawClient, ThatDoesNotConfirmIsToldTheLastCallAfterASecond) {
  Start();
  Open();
  clock_.Advance(kOld);
  EXPECT_EQ(ReadGoAway(), native::kNoCallNamed);
  // A nanosecond short of the second for which the server waits for the first confirmation.
  clock_.Advance(absl::Seconds(1) - absl::Nanoseconds(1));
  peer_.Send(raw::Request({.id = 1}));
  std::optional<RawFrame> answer = peer_.ReadFrame(FrameType::kResponse);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->header.aux, 0);
  clock_.Advance(absl::Nanoseconds(1));
  EXPECT_EQ(ReadGoAway(), 1u);
  peer_.Send(raw::Request({.id = 2}));
  answer = peer_.ReadFrame(FrameType::kResponse);
  ASSERT_TRUE(answer.has_value()) << "the connection has ended";
  EXPECT_TRUE(answer->header.has(native::kNotExecuted));
  EXPECT_EQ(answer->header.aux, static_cast<int>(absl::StatusCode::kUnavailable));
  // Both confirmations are still to come.
  Confirm();
  Settle();
  Confirm();
  EXPECT_TRUE(peer_.WaitForClose());
  EXPECT_EQ(service_.entered.load(), 1);
}

TEST_F(AgeOfARawClient, ThatNeverConfirmsEndsWithItsGrace) {
  Start();
  Open();
  clock_.Advance(kOld);
  EXPECT_EQ(ReadGoAway(), native::kNoCallNamed);
  clock_.Advance(kGrace - absl::Seconds(1));
  // The second without a confirmation has passed on the way. No call was taken, so 0 is named.
  EXPECT_EQ(ReadGoAway(), 0u);
  Settle();
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(peer_.WaitForClose());
}

TEST_F(AgeOfARawClient, IsOverWhenTheServersOwnLastCallIs) {
  EchoResult own;
  service_.echo = [&own](ServerContext& call, EchoRequest&, EchoReply&) {
    EchoService::Stub(*call.caller())
        // Detached: the call outlasts the one that its handler serves.
        .EchoAsync(RequestOf("back"), {.timeout = absl::InfiniteDuration(), .detached = true},
                   Into(own));
    return absl::OkStatus();
  };
  Start();
  Open();
  peer_.Send(raw::Request({.id = 1}));
  const std::optional<RawFrame> call = peer_.ReadFrame(FrameType::kRequest);
  ASSERT_TRUE(call.has_value());
  clock_.Advance(kOld);
  EXPECT_EQ(ReadGoAway(), native::kNoCallNamed);
  ConfirmBoth(1);
  Settle();
  EXPECT_EQ(own.count(), 0u);
  peer_.Send(raw::Reply(call->header.id, ""));
  EXPECT_TRUE(own.Wait().ok());
  EXPECT_TRUE(peer_.WaitForClose()) << "nobody has moved the clock";
}

TEST_F(AgeOfARawClient, IsToldAfterTheHandshakeThatWasUnderWay) {
  Start();
  ASSERT_TRUE(PollUntil([&] { return (*server_)->connections().open == 1; }));
  clock_.Advance(absl::Nanoseconds(1));  // the loop's turn that counted it is over, its age set
  clock_.Advance(kOld);
  peer_.Send(raw::Opening());
  EXPECT_EQ(peer_.Read(8), raw::Preface());
  EXPECT_TRUE(peer_.ReadFrame(FrameType::kHello).has_value());
  EXPECT_EQ(ReadGoAway(), native::kNoCallNamed);
  ConfirmBoth(0);
  EXPECT_TRUE(peer_.WaitForClose());
}

}  // namespace
}  // namespace weft::test
