// The end of a server that waits for what is under way: it is told of each end, and does not look
// again and again.
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "weft/core/loop_group.h"
#include "weft/core/manual_clock.h"
#include "weft/core/socket_address.h"

namespace weft::test {
namespace {

// The clock is never moved, so no time passes for server and client.
class Drain : public testing::Test {
 protected:
  ~Drain() override {
    if (stopper_.joinable()) stopper_.join();
  }
  void BeginStop(Server& server) {
    stopper_ = std::thread([this, &server] {
      server.Stop(absl::InfiniteDuration());
      stopped_.Notify();
    });
    EXPECT_TRUE(PollUntil([&] { return server.state() == ServerState::kDraining; }));
  }
  // A loop that looks again and again never stands still for so long.
  void ExpectLoopsToSleep() {
    int64_t before = -1;
    int same = 0;
    EXPECT_TRUE(PollUntil([&] {
      const int64_t now = runtime_->loops().At(0).loop->counts().turns +
                          runtime_->loops().At(1).loop->counts().turns;
      same = now == before ? same + 1 : 0;
      before = now;
      return same == 50;
    }));
  }

  ManualClock clock_;
  const std::shared_ptr<Runtime> runtime_ = RuntimeOf({.io_threads = 2, .clock = &clock_});
  Notification stopped_;
  std::thread stopper_;
};

TEST_F(Drain, EndsWithTheLastAnswerThoughNoTimePasses) {
  AnsweringEcho service;
  TestServer server(service, ServerOptions{.runtime = runtime_});
  const auto channel = server.Connect({.runtime = runtime_});
  EchoService::Stub stub(*channel);
  EchoResult hung;
  for (int i = 0; i < 3; ++i) {
    stub.HangAsync(RequestOf("x"), {.timeout = absl::InfiniteDuration()}, Into(hung));
  }
  ASSERT_TRUE(service.hanging.WaitForValue(3));
  BeginStop(*server);
  EXPECT_FALSE(stopped_.HasHappened());
  service.Release();
  EXPECT_TRUE(stopped_.Wait());
  for (const auto& reply : hung.WaitForAll(3)) EXPECT_TRUE(reply.ok()) << reply.status();
}

TEST_F(Drain, LooksAtNothingWhileItWaits) {
  AnsweringEcho service;
  TestServer server(service, ServerOptions{.runtime = runtime_});
  const auto channel = server.Connect({.runtime = runtime_});
  EchoService::Stub stub(*channel);
  EchoResult hung;
  stub.HangAsync(RequestOf("x"), {.timeout = absl::InfiniteDuration()}, Into(hung));
  ASSERT_TRUE(service.hanging.WaitForValue(1));
  BeginStop(*server);
  ExpectLoopsToSleep();
  EXPECT_FALSE(stopped_.HasHappened());
  service.Release();
  EXPECT_TRUE(stopped_.Wait());
}

// Answers and stays inside.
class LingeringEcho final : public EchoService::AsyncService {
 public:
  void Echo(ServerContext&, EchoRequest& request, Responder<EchoReply> responder) override {
    FillEcho(request, &responder.reply());
    responder.Finish();
    inside.Notify();
    EXPECT_TRUE(go.Wait());
    left.store(true);
  }
  Notification inside, go;
  std::atomic<bool> left{false};
};

TEST_F(Drain, EndsWhenTheLastHandlerHasLeftItsService) {
  LingeringEcho service;
  TestServer server(service, ServerOptions{.runtime = runtime_});
  const auto channel = server.Connect({.runtime = runtime_});
  EchoResult result;
  EchoService::Stub(*channel).EchoAsync(RequestOf("x"), {.timeout = absl::InfiniteDuration()},
                                        Into(result));
  EXPECT_TRUE(result.Wait().ok());
  ASSERT_TRUE(service.inside.Wait());
  BeginStop(*server);
  // The connection has gone, for its only call is answered. The handler is still inside the
  // service.
  EXPECT_TRUE(PollUntil([&] { return server->connections().open == 0; }));
  EXPECT_FALSE(stopped_.HasHappened());
  service.go.Notify();
  EXPECT_TRUE(stopped_.Wait());
  EXPECT_TRUE(service.left.load());
}

// Says yes when it is let go.
struct SlowGate {
  Authenticator Authenticate() {
    return [this](std::string_view, const std::string&) -> absl::StatusOr<std::string> {
      asked.Update([](int& n) { ++n; });
      EXPECT_TRUE(open.Wait());
      return "anybody";
    };
  }
  Watched<int> asked{0};
  Notification open;
};

TEST_F(Drain, EndsWhenTheAuthenticatorsOfAllListenersHaveEnded) {
  HookedEcho service;
  SlowGate first, second;
  TestServer server(service, ServerOptions{.runtime = runtime_});
  std::vector<RawPeer> peers;
  for (SlowGate* gate : {&first, &second}) {
    ListenerOptions listener;
    listener.authenticator = gate->Authenticate();
    ASSERT_EQ(server->AddListener("127.0.0.1:0", std::move(listener)), absl::OkStatus());
    const auto address = internal::SocketAddress::Parse(server->addresses().back());
    ASSERT_TRUE(address.ok());
    // One for each loop.
    for (int i = 0; i < 2; ++i) {
      peers.push_back(RawPeer::ConnectTo(address->port()));
      peers.back().Send(raw::Opening());
    }
    ASSERT_TRUE(gate->asked.WaitForValue(2));
  }
  BeginStop(*server);
  for (RawPeer& peer : peers) EXPECT_TRUE(peer.WaitForClose());
  // Stop may end only with the second one.
  for (SlowGate* gate : {&first, &second}) {
    ExpectLoopsToSleep();
    EXPECT_FALSE(stopped_.HasHappened());
    gate->open.Notify();
  }
  EXPECT_TRUE(stopped_.Wait());
}

}  // namespace
}  // namespace weft::test
