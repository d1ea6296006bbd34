// Sessions that end inside the walks through the sessions of a server's loop: a callback of one
// connection writes to others that are broken, which ends them there and then.
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/protos/echo.weft.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "tests/support/watched.h"
#include "weft/core/manual_clock.h"
#include "weft/rpc/server.h"

namespace weft::test {
namespace {

using internal::native::FrameType;

constexpr int kPeers = 16;
// From so many bytes on an answer is written at once, and so may end its session there.
constexpr size_t kLarge = size_t{400} << 10;
constexpr absl::Duration kOld = absl::Hours(11);  // the age and its jitter are over
constexpr absl::Duration kGrace = absl::Minutes(1);
constexpr absl::Duration kIdle = absl::Minutes(4);
constexpr absl::Duration kDrain = absl::Hours(1);

// Keeps every call, and says when one of them is to stop.
class KeptCalls final : public EchoService::AsyncService {
 public:
  explicit KeptCalls(std::function<void()> on_stop) : on_stop_(std::move(on_stop)) {}

  void Hang(ServerContext& call, EchoRequest&, Responder<EchoReply> responder) override {
    auto kept = std::make_shared<Kept>(std::move(responder));
    kept->stop.emplace(call.stop_token(), on_stop_);
    kept_.Update([&](auto& all) { all.push_back(std::move(kept)); });
  }
  [[nodiscard]] bool Have(size_t n) {
    return kept_.WaitFor([n](const auto& all) { return all.size() == n; });
  }
  void AnswerAll() {
    for (const auto& kept : kept_.Get()) {
      if (kept->responder.finished()) continue;
      kept->responder.reply().set_payload(std::string(kLarge, 'a'));
      kept->responder.Finish();
    }
  }

 private:
  struct Kept {
    explicit Kept(Responder<EchoReply> r) : responder(std::move(r)) {}
    Responder<EchoReply> responder;
    std::optional<std::stop_callback<std::function<void()>>> stop;
  };
  const std::function<void()> on_stop_;
  Watched<std::vector<std::shared_ptr<Kept>>> kept_;
};

// A server with one loop, on a clock that the test moves, and peers that each have a call there.
class WalkOfALoop : public ::testing::Test {
 protected:
  WalkOfALoop() : service_([this] { BreakAllOnce(/*in_stop=*/true); }) {
    RuntimeOptions runtime;
    runtime.clock = &clock_;
    runtime.io_threads = 1;
    runtime.worker_threads = 1;
    runtime.log_level = LogLevel::kOff;
    options_.runtime = *Runtime::Create(std::move(runtime));
    // No timers but those under test: hours pass at once on this clock, and peers answer no
    // heartbeats.
    options_.limits.heartbeat_interval = absl::ZeroDuration();
    options_.limits.handshake_timeout = absl::Hours(100);
    options_.max_heartbeat_interval = absl::ZeroDuration();
    options_.on_connection = [this](const ConnectionEvent& event) {
      if (event.state == ConnectionState::kGoingAway) {
        ++told_;
        if (breaks_when_told_) BreakAllOnce(/*in_stop=*/false);
      }
      if (event.state == ConnectionState::kDown) down_.Update([](int& n) { ++n; });
    };
  }
  ~WalkOfALoop() override {
    service_.AnswerAll();
    idle_.clear();  // in this time nobody would stop waiting for them
    server_.reset();
  }

  void Start(int idle_peers = 0) {
    server_ = std::make_unique<Server>(options_);
    ASSERT_TRUE(server_->Register(service_).ok());
    ASSERT_TRUE(server_->Start("127.0.0.1:0").ok());
    for (int i = 0; i < kPeers; ++i) {
      peers_.push_back(Open());
      peers_.back().Send(raw::Request({.name = "weft.test.EchoService/Hang"}));
    }
    for (int i = 0; i < idle_peers; ++i) idle_.push_back(Open());
    ASSERT_TRUE(service_.Have(kPeers));
  }
  RawPeer Open() {
    RawPeer peer = RawPeer::ConnectTo(server_->port());
    peer.Send(raw::Opening({.max_frame = 1 << 20}));
    EXPECT_EQ(peer.Read(8), raw::Preface());
    EXPECT_TRUE(peer.ReadFrame(FrameType::kHello).has_value());
    Settle(peer);
    return peer;
  }
  // Both, though nobody confirms the first.
  void ReadGoAways() {
    for (RawPeer& peer : peers_) EXPECT_TRUE(peer.ReadFrame(FrameType::kGoAway).has_value());
    // The second one follows when a peer has not confirmed the first for a second.
    clock_.Advance(absl::Seconds(1));
    for (RawPeer& peer : peers_) EXPECT_TRUE(peer.ReadFrame(FrameType::kGoAway).has_value());
  }
  static void Settle(RawPeer& peer) {
    peer.Send(raw::Ping(9));
    ASSERT_TRUE(peer.ReadFrame(FrameType::kPing).has_value());
  }
  // In a callback, inside the walk: the peers with a call break off, and their answers find out.
  void BreakAllOnce(bool in_stop) {
    // AnswerAll below may call back here for each call that it answers.
    if (in_stop != !breaks_when_told_ || std::exchange(broken_, true)) return;
    for (RawPeer& peer : peers_) peer.Reset();
    service_.AnswerAll();
    ended_inside_ = server_->closed(CloseReason::kBroken);
  }
  // Each was gone when the callback returned to the walk.
  void ExpectAllEndedInside() {
    ASSERT_TRUE(down_.WaitFor([](int n) { return n >= kPeers; }));
    EXPECT_EQ(ended_inside_, kPeers);
    EXPECT_EQ(server_->closed(CloseReason::kBroken), kPeers) << "none ended twice";
  }

  ManualClock clock_;
  ServerOptions options_;
  bool breaks_when_told_ = true;
  // Touched on the loop, and when that is over.
  bool broken_ = false;
  int told_ = 0;
  int64_t ended_inside_ = 0;
  Watched<int> down_{0};
  std::vector<RawPeer> peers_;
  std::vector<RawPeer> idle_;
  KeptCalls service_;
  std::unique_ptr<Server> server_;
};

TEST_F(WalkOfALoop, ThatTellsThemThatTheServerStops) {
  Start();
  server_->Stop(kDrain);
  ExpectAllEndedInside();
  EXPECT_EQ(told_, 1) << "the others had ended";
}

TEST_F(WalkOfALoop, ThatCancelsTheirCallsWhenTheDrainIsOver) {
  breaks_when_told_ = false;
  Start();
  std::thread stop([&] { server_->Stop(kDrain); });
  ReadGoAways();
  clock_.Advance(kDrain);
  stop.join();
  ExpectAllEndedInside();
  EXPECT_EQ(told_, kPeers);
}

TEST_F(WalkOfALoop, ThatFindsThemOld) {
  options_.max_connection_age = absl::Hours(10);
  options_.max_connection_age_grace = kGrace;
  Start();
  clock_.Advance(kOld);
  ExpectAllEndedInside();
  EXPECT_EQ(told_, 1) << "the others had ended";
}

TEST_F(WalkOfALoop, ThatFindsTheirGraceOver) {
  breaks_when_told_ = false;
  options_.max_connection_age = absl::Hours(10);
  options_.max_connection_age_grace = kGrace;
  Start();
  clock_.Advance(kOld);
  ReadGoAways();
  clock_.Advance(kGrace);
  ExpectAllEndedInside();
  EXPECT_EQ(told_, kPeers);
}

TEST_F(WalkOfALoop, ThatFindsOthersIdle) {
  options_.idle_timeout = kIdle;
  Start(/*idle_peers=*/kPeers);
  for (int i = 0; i < 10 && down_.Get() < kPeers; ++i) clock_.Advance(kIdle / 4);
  ExpectAllEndedInside();
  EXPECT_EQ(told_, kPeers) << "the idle ones are told all the same";
  for (RawPeer& peer : idle_) EXPECT_TRUE(peer.ReadFrame(FrameType::kGoAway).has_value());
}

}  // namespace
}  // namespace weft::test
