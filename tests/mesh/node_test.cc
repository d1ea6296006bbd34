// Nodes that find each other, call each other, and end: over memory, with threads of their own and
// the system's clock.
#include "weft/rpc/node.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/mesh/cluster.h"

namespace weft::test {
namespace {

using ::testing::HasSubstr;

std::string Say(CallTarget& target, const std::string& text, CallOptions options = {}) {
  EchoService::Stub stub(target);
  const absl::StatusOr<EchoReply> reply = stub.Echo(RequestOf(text), std::move(options));
  return reply.ok() ? reply->text() : reply.status().ToString();
}

TEST(NodeTest, EveryNodeCallsEveryOtherAndItself) {
  Cluster cluster(3);
  cluster.StartAll();
  for (int from = 0; from < 3; ++from) {
    for (int to = 0; to < 3; ++to) {
      EXPECT_EQ(Say(*cluster[from].To(cluster.name(to)), "hi"),
                absl::StrCat(cluster.name(to), ":hi"));
    }
  }
}

TEST(NodeTest, ARequestThatWaitsForAPeerHasTheLimitsOfItsNode) {
  Cluster cluster(2, [](int, NodeOptions& options) {
    options.server.limits.max_message_bytes = 1000;
    options.server.limits.max_output_bytes = 1000;
  });
  ASSERT_EQ(cluster.Start(0).ToString(), "OK");  // and b is not there
  const auto peer = cluster[0].To("b");
  EXPECT_THAT(Say(*peer, std::string(2000, 'x'), {.wait_for_ready = true}),
              HasSubstr("over the limit of 1000 (max_message_bytes of the calling node)"));
  EchoResult first;
  EchoService::Stub stub(*peer);
  ClientContext given_up;
  stub.EchoAsync(
      RequestOf(std::string(900, 'x')),
      {.timeout = absl::InfiniteDuration(), .context = &given_up, .wait_for_ready = true},
      Into(first));
  EXPECT_THAT(Say(*peer, std::string(900, 'x'), {.wait_for_ready = true}),
              HasSubstr("1000 bytes (max_output_bytes of the calling node)"));
  given_up.Cancel();
  EXPECT_EQ(first.Wait().status().code(), absl::StatusCode::kCancelled);
}

TEST(NodeTest, APairHasOneConnectionTheSameAtBothEnds) {
  Cluster cluster(5);
  cluster.StartAll();
  for (int i = 0; i < 5; ++i) {
    const std::vector<PeerInfo> peers = cluster[i].peers();
    ASSERT_EQ(peers.size(), 4u);
    for (const PeerInfo& peer : peers) {
      EXPECT_EQ(peer.state, PeerState::kUp);
      // If two connections crossed, the one that is left may still have calls to finish.
      int staying = 0;
      for (const PeerConnectionInfo& c : peer.connections) staying += c.leaving ? 0 : 1;
      EXPECT_EQ(staying, 1) << cluster.name(i) << " with " << peer.name;
    }
  }
}

TEST(NodeTest, AHandlerCallsTheNodeThatCallsIt) {
  Cluster cluster(2);
  // This call goes the other way over the same connection, while the first call waits for it.
  cluster.service(1).echo = [](ServerContext& call, EchoRequest& request, EchoReply& reply) {
    reply.set_text(
        absl::StrCat("b heard ", Say(*call.caller(), request.text()), " of ", call.node()));
    return absl::OkStatus();
  };
  cluster.StartAll();
  EXPECT_EQ(Say(*cluster[0].To("b"), "hi"), "b heard a:hi of a");
}

TEST(NodeTest, CountsTheCallsThatItMakes) {
  Cluster cluster(3);
  cluster.StartAll();
  for (const char* to : {"a", "b", "b", "c"}) Say(*cluster[0].To(to), "hi");
  const std::vector<CallStatsSnapshot> stats = cluster[0].CallStats();
  const auto echo = std::find_if(stats.begin(), stats.end(), [](const CallStatsSnapshot& method) {
    return method.method == "weft.test.EchoService/Echo";
  });
  ASSERT_NE(echo, stats.end());
  EXPECT_EQ(echo->started, 4);
  EXPECT_EQ(echo->by_code[0], 4);
  EXPECT_EQ(echo->in_flight, 0);
}

TEST(NodeTest, ANameThatNoMemberHasIsNotFound) {
  Cluster cluster(2);
  cluster.StartAll();
  const std::shared_ptr<Peer> nobody = cluster[0].To("nobody");
  EXPECT_THAT(Say(*nobody, "hi"), HasSubstr("NOT_FOUND"));
  EXPECT_THAT(Say(*nobody, "hi"), HasSubstr("nobody"));
}

TEST(NodeTest, APlainClientIsServed) {
  Cluster cluster(2);
  cluster.StartAll();
  ChannelOptions options;
  // The client is outside the cluster and gives no name.
  options.network = cluster.network().shared_from_this();
  auto channel = Channel::Create("inproc:a", std::move(options));
  ASSERT_TRUE(channel.ok());
  EXPECT_EQ(Say(**channel, "hi"), "a:hi");
}

TEST(NodeTest, ANodeThatComesBackIsCalledAgain) {
  Cluster cluster(3);
  cluster.StartAll();
  for (int round = 0; round < 3; ++round) {
    cluster.Kill(1);
    ASSERT_EQ(cluster.Start(1).ToString(), "OK");
    // Call from both sides: either of them may be the one that dials.
    EXPECT_EQ(Say(*cluster[0].To("b"), "again", {.wait_for_ready = true}), "b:again");
    EXPECT_EQ(Say(*cluster[1].To("c"), "again", {.wait_for_ready = true}), "c:again");
  }
}

// There is one line for each change, and no line of the node's server about the same connection.
TEST(NodeTest, TheLogTellsOfAPeerThatIsLostAndBack) {
  const auto log = std::make_shared<CollectedLog>();
  Cluster cluster(2, [&log](int i, NodeOptions& options) {
    options.server.log = {.level = i == 0 ? LogLevel::kInfo : LogLevel::kOff, .sink = log};
  });
  cluster.StartAll();
  const size_t before = log->lines.Get().size();  // a slow start may have written its line
  cluster.Kill(1);
  EXPECT_TRUE(log->lines.WaitFor([&](const auto& all) { return all.size() > before; }));
  EXPECT_EQ(cluster.Start(1).ToString(), "OK");
  EXPECT_TRUE(log->lines.WaitFor([&](const auto& all) { return all.size() >= before + 2; }));
  std::vector<std::string> lines = log->lines.Get();
  lines.erase(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(before));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_THAT(lines[0], ::testing::MatchesRegex("node a: peer lost: .* \\(to b at inproc:b\\)"));
  EXPECT_THAT(lines[1], ::testing::StartsWith("node a: peer back (b at inproc:b, after "));
  cluster[0].log().SetLevel(LogLevel::kOff);
}

TEST(NodeTest, StopWakesWhoeverWaitsForOthers) {
  Cluster cluster(2);
  ASSERT_EQ(cluster.Start(0).ToString(), "OK");
  absl::Status waited;
  // Nobody starts b, so only Stop can end the wait.
  std::thread waiter(
      [&] { waited = cluster[0].WaitUntilUp(Want::All(), absl::InfiniteDuration()); });
  cluster[0].Stop();
  waiter.join();
  EXPECT_THAT(waited.ToString(), HasSubstr("the node was stopped"));
}

TEST(NodeTest, SeveralConnectionsAPairAreAllUsed) {
  Cluster cluster(2, [](int i, NodeOptions& options) {
    options.connections_per_peer = i == 0 ? 3 : 2;  // the smaller wish holds
  });
  cluster.StartAll();
  // One connection is enough to be up. The second comes a little later, and gives no signal.
  while (cluster[0].peers()[0].connections.size() < 2) std::this_thread::yield();
  EXPECT_EQ(Say(*cluster[0].To("b"), "hi"), "b:hi");
  EXPECT_EQ(Say(*cluster[1].To("a"), "hi"), "a:hi");
}

}  // namespace
}  // namespace weft::test
