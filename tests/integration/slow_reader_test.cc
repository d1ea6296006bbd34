// A side that reads slowly, and steadily, is not silent; one that has stopped reading is.
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "tests/integration/stack.h"
#include "weft/core/in_process_network.h"
#include "weft/core/manual_clock.h"

namespace weft::test {
namespace {

constexpr int kCalls = 40;
constexpr size_t kReplySize = size_t{1} << 20;
constexpr size_t kAtOnce = size_t{60} << 10;

class LargeReplies final : public EchoService::Service {
 public:
  absl::Status Echo(ServerContext&, EchoRequest&, EchoReply& reply) override {
    reply.set_payload(std::string(kReplySize, 'y'));
    return absl::OkStatus();
  }
};

// Both sides go by a clock that the test moves, with a heartbeat of a second and two misses.
class SlowReaderTest : public testing::Test {
 protected:
  // The client reads `kAtOnce` bytes each `step`.
  void Begin(absl::Duration step, size_t buffer_bytes = size_t{256} << 10) {
    step_ = step;
    InProcessNetworkOptions network;
    network.buffer_bytes = buffer_bytes;
    network.faults = [step](uint64_t) {
      ConnectionFaults faults;
      faults.to_dialer.max_read = kAtOnce;
      faults.to_dialer.read_every = step;
      return faults;
    };
    network_ = InProcessNetwork::Create(std::move(network));
    runtime_ = RuntimeOf({.clock = &clock_});
    SessionLimits limits;
    limits.heartbeat_interval = absl::Seconds(1);
    limits.heartbeat_misses = 2;
    ServerOptions server;
    server.runtime = runtime_;
    server.network = network_;
    server.limits = limits;
    server.on_connection = [this](const ConnectionEvent& event) {
      if (event.state == ConnectionState::kSuspect) ++suspected_;
    };
    server_ = std::make_unique<Server>(std::move(server));
    limits.heartbeat_misses = 100;  // it is the server that judges
    ASSERT_EQ(server_->Register(service_), absl::OkStatus());
    ASSERT_EQ(server_->Start("inproc:store"), absl::OkStatus());
    channel_ =
        ChannelTo("inproc:store", {.runtime = runtime_, .network = network_, .limits = limits});
    for (EchoResult& result : results_) {
      EchoService::Stub(*channel_).EchoAsync(RequestOf("x"), {.timeout = absl::Hours(1)},
                                             Into(result));
    }
    ASSERT_TRUE(PollUntil([&] { return BytesIn() > 0; }));
  }
  ~SlowReaderTest() override {
    channel_.reset();
    server_.reset();
    runtime_.reset();
  }

  uint64_t BytesIn() const {
    const std::vector<ConnectionInfo> all = channel_->connections();
    return all.empty() ? 0 : all[0].bytes_in;
  }
  size_t Done() const {
    size_t done = 0;
    for (const EchoResult& result : results_) done += result.count() > 0 ? 1 : 0;
    return done;
  }
  // Moves the clock, a read a step, until every call has ended.
  void Play() {
    // 40 MiB in pieces of 60 KiB are 700 steps.
    for (int i = 0; i < 2'000 && Done() < kCalls; ++i) {
      const uint64_t before = BytesIn();
      clock_.Advance(step_);
      // The server may not have written yet: time does not go on without it.
      ASSERT_TRUE(PollUntil([&] { return BytesIn() != before || Done() == kCalls; }));
    }
  }
  void ExpectNothingLost() {
    Play();
    for (EchoResult& result : results_) {
      const absl::StatusOr<EchoReply> reply = result.Wait();
      ASSERT_EQ(reply.status(), absl::OkStatus());
      EXPECT_EQ(reply->payload().size(), kReplySize);
    }
    EXPECT_EQ(server_->closed(CloseReason::kSilent), 0);
    EXPECT_EQ(suspected_, 0);
  }

  ManualClock clock_;
  LargeReplies service_;
  absl::Duration step_;
  std::shared_ptr<InProcessNetwork> network_;
  std::shared_ptr<Runtime> runtime_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Channel> channel_;
  std::array<EchoResult, kCalls> results_;
  std::atomic<int> suspected_{0};
};

TEST_F(SlowReaderTest, FortyMebibytesAtThreeMegabytesASecondLoseNothing) {
  Begin(absl::Milliseconds(20));
  ExpectNothingLost();
}

TEST_F(SlowReaderTest, FortyMebibytesAtThreeHundredKilobytesASecondLoseNothing) {
  Begin(absl::Milliseconds(200));
  ExpectNothingLost();
}

// As with a large send buffer: the system takes everything at once, and then nothing for long.
TEST_F(SlowReaderTest, WhatTheSystemBelowHoldsIsNoSilenceEither) {
  // Room for all 40 MiB: the server has nothing left to write while the client reads for minutes.
  Begin(absl::Milliseconds(200), size_t{64} << 20);
  ExpectNothingLost();
}

TEST_F(SlowReaderTest, AReaderThatStopsIsSilentThoughItsServerHasPausedReading) {
  Begin(absl::Milliseconds(20));
  for (int i = 0; i < 100; ++i) {
    const uint64_t before = BytesIn();
    clock_.Advance(step_);
    ASSERT_TRUE(PollUntil([&] { return BytesIn() != before; }));
  }
  // The client takes nothing more, and says nothing.
  ASSERT_TRUE(network_->Hold(0));
  // Suspect after two intervals, given up after three.
  for (int i = 0; i < 5; ++i) clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(server_->closed(CloseReason::kSilent), 1);
}

}  // namespace
}  // namespace weft::test
