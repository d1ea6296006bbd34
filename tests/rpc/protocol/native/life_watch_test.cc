// Questions whether a peer lives, and what their answers tell of time: a session whose peer the
// test plays, by a clock that the test moves.
#include "weft/rpc/protocol/native/life_watch.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "tests/support/watched.h"
#include "weft/core/manual_clock.h"
#include "weft/core/plain_transport.h"
#include "weft/core/runtime.h"
#include "weft/rpc/protocol/native/hello.pb.h"
#include "weft/rpc/protocol/native/native_session.h"

namespace weft::internal::native {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Host final : public SessionHost {
 public:
  void OnUp(Session&) override { up.Notify(); }
  void OnGoingAway(Session&, const absl::Status&) override {}
  void OnSuspect(Session&, bool suspect) override { suspicions.push_back(suspect); }
  void OnEnded(Session&, CloseReason why, const absl::Status&) override {
    reason = why;
    ended.Notify();
  }
  void Authenticate(Session&, std::string_view, Verdict verdict) override {
    verdict(std::string());
  }
  void CountLateReply() override {}

  CloseReason reason{};
  std::vector<bool> suspicions;
  Notification up, ended;
};

// A session that accepts, in time that the test moves, and a peer that it plays.
class LifeWatchTest : public testing::Test {
 protected:
  LifeWatchTest() : runtime_(*Runtime::Create({.clock = &clock_})) {}
  ~LifeWatchTest() override {
    Run([this] {
      if (session_ != nullptr) session_->Close(CloseReason::kLocal, absl::UnavailableError("over"));
    });
    // A session is destroyed in a later turn of the loop than the one that ends it.
    Run([this] { session_.reset(); });
  }

  void Run(const std::function<void()>& closure) {
    Notification done;
    runtime_->loops().At(0).loop->Post([&](TaskFate) {
      closure();
      done.Notify();
    });
    ASSERT_TRUE(done.Wait());
  }
  // A session that accepts, up to OnUp. Its peer wants no heartbeat.
  void Connect(const raw::HelloFields& hello = {}, bool pair = false) {
    int fds[2] = {-1, -1};
    Run([&] {
      ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
      ASSERT_EQ(::fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
      NativeSessionOptions options;
      options.pair = pair;
      options.max_heartbeat = max_heartbeat_;
      options.limits = std::make_shared<const SessionLimits>();
      session_ = std::make_unique<NativeSession>(runtime_->loops().At(0), host_, nullptr, nullptr,
                                                 std::make_unique<PlainTransport>(Socket(fds[0])),
                                                 "peer", std::move(options));
      ASSERT_TRUE(session_->Start().ok());
    });
    peer_ = RawPeer(fds[1]);
    peer_.Send(raw::Opening(hello));
    ASSERT_TRUE(host_.up.Wait());
    EXPECT_EQ(peer_.Read(8), raw::Preface());
    const std::optional<RawFrame> answer = peer_.ReadFrame();
    ASSERT_TRUE(answer.has_value());
    ASSERT_TRUE(hello_.ParseFromString(answer->body));
  }
  // The number of the PING that it sends. An answer is noted by `name`.
  uint64_t Probe(const std::string& name) {
    Run([&] { session_->Probe([this, name] { alive_.push_back(name); }); });
    const std::optional<RawFrame> ping = peer_.ReadFrame();
    EXPECT_TRUE(ping.has_value() && ping->header.type == FrameType::kPing &&
                ping->header.flags == 0 && ping->body.empty());
    return ping.has_value() ? ping->header.id : 0;
  }
  // Returns the answers that have come when the session has read all of `bytes`.
  std::vector<std::string> Alive(const std::string& bytes) {
    // The session answers this PING when it has taken everything before it.
    peer_.Send(bytes + raw::Ping(77));
    EXPECT_EQ(peer_.ReadFrame()->header.id, 77u);
    std::vector<std::string> alive;
    Run([&] { alive = std::exchange(alive_, {}); });
    return alive;
  }
  PeerTiming Timing() { return session_->gauge()->Timing(); }

  ManualClock clock_;
  std::shared_ptr<Runtime> runtime_;
  Host host_;
  std::unique_ptr<NativeSession> session_;
  RawPeer peer_;
  Hello hello_;  // the session's
  Nanos max_heartbeat_ = Nanos::zero();
  std::vector<std::string> alive_;
};

TEST_F(LifeWatchTest, AProbeIsAnsweredByTheAnswerToItsOwnPing) {
  Connect();
  const uint64_t first = Probe("first");
  const uint64_t second = Probe("second");
  EXPECT_GT(first, 0u);
  EXPECT_GT(second, first);
  // PINGs are numbered from 1.
  EXPECT_THAT(Alive(raw::Pong(0)), IsEmpty());
  EXPECT_THAT(Alive(raw::Pong(second + 1)), IsEmpty()) << "nobody has asked that";
  EXPECT_THAT(Alive(raw::Pong(UINT64_MAX)), IsEmpty());
  EXPECT_THAT(Alive(raw::Pong(first)), ElementsAre("first"));
  EXPECT_THAT(Alive(raw::Pong(first)), IsEmpty());
  EXPECT_THAT(Alive(raw::Pong(second)), ElementsAre("second"));
}

TEST_F(LifeWatchTest, TheAnswerToALaterQuestionTellsThoseWhoAskedBefore) {
  Connect();
  Probe("first");
  // The questions are of different moments.
  clock_.Advance(absl::Seconds(1));
  const uint64_t second = Probe("second");
  const uint64_t third = Probe("third");
  EXPECT_THAT(Alive(raw::Pong(second)), ElementsAre("first", "second"));
  EXPECT_THAT(Alive(raw::Pong(third)), ElementsAre("third"));
}

TEST_F(LifeWatchTest, TheAnswerToAHeartbeatTellsNobodyWhoAskedBehindIt) {
  Connect({.heartbeat_ms = 10'000});
  clock_.Advance(absl::Seconds(10));
  const std::optional<RawFrame> heartbeat = peer_.ReadFrame();
  ASSERT_TRUE(heartbeat.has_value());
  ASSERT_EQ(heartbeat->header.type, FrameType::kPing);
  // The heartbeat left before the question, so its answer tells nothing of the time since.
  const uint64_t ping = Probe("asked");
  EXPECT_THAT(Alive(raw::Pong(heartbeat->header.id)), IsEmpty());
  EXPECT_THAT(Alive(raw::Pong(ping)), ElementsAre("asked"));
}

TEST_F(LifeWatchTest, NobodyIsToldOnceTheSessionHasEnded) {
  Connect();
  const uint64_t ping = Probe("kept");
  // A share that the callback keeps: its count tells when the callback is gone.
  auto held = std::make_shared<int>();
  Run([&, kept = held] { session_->Probe([kept] {}); });
  ASSERT_TRUE(peer_.ReadFrame().has_value());
  EXPECT_GT(held.use_count(), 1);
  Run([&] {
    session_->Close(CloseReason::kLocal, absl::UnavailableError("over"));
    EXPECT_EQ(held.use_count(), 1) << "what was to be told goes with it";
    session_->Probe([this] { alive_.push_back("too late"); });
  });
  peer_.Send(raw::Pong(ping));
  Run([&] { EXPECT_THAT(alive_, IsEmpty()); });
}

TEST_F(LifeWatchTest, WhoIsToldMayEndTheSessionAndTheOthersAreNot) {
  Connect();
  Run([&] {
    session_->Probe([this] {
      alive_.push_back("first");
      session_->Close(CloseReason::kLocal, absl::UnavailableError("over"));
    });
  });
  ASSERT_TRUE(peer_.ReadFrame().has_value());
  const uint64_t second = Probe("second");
  // This answers both questions. The first callback closes the session before the second one runs.
  peer_.Send(raw::Pong(second));
  EXPECT_TRUE(host_.ended.Wait());
  Run([&] { EXPECT_THAT(alive_, ElementsAre("first")); });
}

TEST_F(LifeWatchTest, WhoIsToldMayAskAgain) {
  Connect();
  Run([&] { session_->Probe([this] { session_->Probe([this] { alive_.push_back("again"); }); }); });
  const uint64_t first = peer_.ReadFrame()->header.id;
  peer_.Send(raw::Pong(first));
  const std::optional<RawFrame> again = peer_.ReadFrame();
  ASSERT_TRUE(again.has_value());
  EXPECT_GT(again->header.id, first);
  EXPECT_THAT(Alive(raw::Pong(again->header.id)), ElementsAre("again"));
}

TEST_F(LifeWatchTest, EachAnswerTellsItsRoundTrip) {
  Connect();
  // No PING has been answered yet.
  EXPECT_EQ(Timing().round_trip, absl::InfiniteDuration());
  const uint64_t first = Probe("first");
  clock_.Advance(absl::Milliseconds(3));
  const uint64_t second = Probe("second");
  clock_.Advance(absl::Milliseconds(5));
  Alive(raw::Pong(first));
  EXPECT_EQ(Timing().round_trip, absl::Milliseconds(8));
  Alive(raw::Pong(second));
  EXPECT_EQ(Timing().round_trip, absl::Milliseconds(5));
  EXPECT_EQ(Timing().min_round_trip, absl::Milliseconds(5));
  EXPECT_EQ(Timing().clock_error, absl::InfiniteDuration()) << "it has not said its clock";
}

TEST_F(LifeWatchTest, ANodeTellsNodesWhatItsClockShowsAndAsksForTheirs) {
  Connect({.features = kClock}, /*pair=*/true);
  EXPECT_NE(hello_.features() & kClock, 0u);
  clock_.Advance(absl::Milliseconds(1'234));
  peer_.Send(raw::Ping(5));
  const std::optional<RawFrame> pong = peer_.ReadFrame();
  ASSERT_TRUE(pong.has_value());
  EXPECT_EQ(pong->header.id, 5u);
  EXPECT_EQ(pong->body, raw::Number(static_cast<uint64_t>(clock_.WallMicros())));
  // The peer's clock is an hour behind. The error is half the round trip, and 1 µs of rounding.
  const uint64_t ping = Probe("it");
  clock_.Advance(absl::Milliseconds(4));
  const int64_t theirs = clock_.WallMicros() - 2'000 - absl::ToInt64Microseconds(absl::Hours(1));
  peer_.Send(raw::Pong(ping, raw::Number(static_cast<uint64_t>(theirs))) + raw::Ping(6));
  ASSERT_TRUE(peer_.ReadFrame().has_value());
  EXPECT_EQ(Timing().round_trip, absl::Milliseconds(4));
  EXPECT_EQ(Timing().clock_offset, -absl::Hours(1));
  EXPECT_EQ(Timing().clock_error, absl::Microseconds(2'001));
}

TEST_F(LifeWatchTest, WhoeverIsNoNodeIsToldNoClock) {
  // All features but the clock's.
  Connect({.features = 0x3F});
  EXPECT_EQ(hello_.features() & kClock, 0u);
  peer_.Send(raw::Ping(5));
  const std::optional<RawFrame> pong = peer_.ReadFrame();
  ASSERT_TRUE(pong.has_value());
  EXPECT_EQ(pong->body, "");
}

// Of a pair the dialer asks. Its peer does where it has not by half an interval.
TEST_F(LifeWatchTest, TheAcceptingSideOfAPairLeavesTheAskingToTheDialer) {
  Connect({.heartbeat_ms = 10'000}, /*pair=*/true);
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(absl::Seconds(10));
    peer_.Send(raw::Ping(9));
    const std::optional<RawFrame> pong = peer_.ReadFrame();
    ASSERT_TRUE(pong.has_value());
    EXPECT_EQ(pong->header.id, 9u) << "and nothing before it";
    EXPECT_EQ(pong->header.flags, kReply);
  }
  // At 10 s: the dialer's PING may only be late.
  clock_.Advance(absl::Seconds(10));
  Run([&] { EXPECT_THAT(host_.suspicions, IsEmpty()); });
  // At 15 s: this side asks.
  clock_.Advance(absl::Seconds(5));
  const std::optional<RawFrame> ping = peer_.ReadFrame();
  ASSERT_TRUE(ping.has_value());
  EXPECT_EQ(ping->header.flags, 0);
  // At 20 s, and at 30 s: as if it had asked at 10 s.
  clock_.Advance(absl::Seconds(5));
  Run([&] { EXPECT_THAT(host_.suspicions, ElementsAre(true)); });
  clock_.Advance(absl::Seconds(10));
  EXPECT_TRUE(host_.ended.Wait());
  EXPECT_EQ(host_.reason, CloseReason::kSilent);
}

TEST_F(LifeWatchTest, TheAcceptingSideOfAPairAsksMoreOftenThanWasAgreedItself) {
  max_heartbeat_ = std::chrono::seconds(5);
  Connect({.heartbeat_ms = 10'000}, /*pair=*/true);
  clock_.Advance(absl::Seconds(5));
  const std::optional<RawFrame> ping = peer_.ReadFrame();
  ASSERT_TRUE(ping.has_value());
  EXPECT_EQ(ping->header.flags, 0);
}

}  // namespace
}  // namespace weft::internal::native
