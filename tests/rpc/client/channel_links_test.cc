// The links of a channel: one that ends while waiting calls are put on it is followed by another,
// and no call waits beyond its deadline for it.
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/protos/echo.weft.h"
#include "tests/rpc/protocol/native/held_echo.h"
#include "tests/support/watched.h"
#include "weft/core/in_process_network.h"
#include "weft/core/loop_group.h"
#include "weft/core/manual_clock.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

namespace weft::internal {
namespace {

using absl::StatusCode;
using test::EchoReply;
using test::EchoRequest;
using test::EchoService;

constexpr int kCalls = 6;

// A channel and a server over memory. The first connection is cut at a byte that lies inside the
// requests that waited for it.
class ChannelLinks : public ::testing::Test {
 protected:
  ChannelLinks() {
    RuntimeOptions runtime;
    runtime.log_level = LogLevel::kOff;
    runtime.clock = &clock_;
    runtime.spin = absl::ZeroDuration();
    runtime_ = *Runtime::Create(std::move(runtime));
  }

  // The first connection is reset inside the write of the second large request that waits for it;
  // of the later ones `others` are the faults.
  void Dial(const ConnectionFaults& others) {
    InProcessNetworkOptions options;
    options.buffer_bytes = size_t{8} << 20;
    options.faults = [others](uint64_t connection) {
      if (connection > 0) return others;
      ConnectionFaults cut;
      cut.to_listener.cut_at = size_t{700} << 10;
      return cut;
    };
    network_ = InProcessNetwork::Create(std::move(options));
    channel_ = *Channel::Create("inproc:echo", {.runtime = runtime_, .network = network_});
    stub_ = std::make_unique<EchoService::Stub>(*channel_);
  }
  void Serve() {
    server_ = std::make_unique<Server>(ServerOptions{.runtime = runtime_, .network = network_});
    ASSERT_TRUE(server_->Register(echo_).ok());
    ASSERT_TRUE(server_->Start("inproc:echo").ok());
  }
  // Large ones, in one turn of the channel's loop: so all of them wait for the first connection.
  void Call(absl::Duration timeout) {
    runtime_->loops().At(0).loop->Post([this, timeout](TaskFate) {
      EchoRequest request;
      request.set_payload(std::string(size_t{400} << 10, 'x'));
      for (int i = 0; i < kCalls; ++i) {
        stub_->EchoAsync(request, {.timeout = timeout, .wait_for_ready = true},
                         [this](absl::StatusOr<EchoReply> reply) {
                           ends_.Update([&](auto& all) { all.push_back(reply.status()); });
                         });
      }
    });
  }
  // Time passes until all have ended.
  [[nodiscard]] bool AllEnd() {
    return PollUntil([this] {
      clock_.Advance(std::chrono::milliseconds(20));
      return ends_.Get().size() == kCalls;
    });
  }
  int Ended(StatusCode code) const {
    int n = 0;
    for (const absl::Status& status : ends_.Get()) n += status.code() == code ? 1 : 0;
    return n;
  }

  ManualClock clock_;
  std::shared_ptr<Runtime> runtime_;
  std::shared_ptr<InProcessNetwork> network_;
  test::HeldEcho echo_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<EchoService::Stub> stub_;
  Watched<std::vector<absl::Status>> ends_;
};

TEST_F(ChannelLinks, OneThatBreaksUnderWaitingCallsIsFollowedByAnother) {
  Dial({});
  Serve();
  Call(absl::Minutes(10));
  ASSERT_TRUE(AllEnd());
  EXPECT_EQ(channel_->counts().connects, 2);
  // The one whose bytes were under way, and the one before it, which the server may have had.
  EXPECT_EQ(Ended(StatusCode::kUnavailable), 2);
  EXPECT_EQ(Ended(StatusCode::kOk), kCalls - 2);
  server_->Stop();
}

TEST_F(ChannelLinks, CallsEndByTheirDeadlinesWhereNoOtherComes) {
  ConnectionFaults refused;
  refused.refused = true;
  Dial(refused);
  Serve();
  Call(absl::Minutes(1));
  ASSERT_TRUE(AllEnd());
  EXPECT_EQ(channel_->counts().connects, 1);
  EXPECT_EQ(Ended(StatusCode::kUnavailable), 2);
  EXPECT_EQ(Ended(StatusCode::kDeadlineExceeded), kCalls - 2);
  server_->Stop();
}

}  // namespace
}  // namespace weft::internal
