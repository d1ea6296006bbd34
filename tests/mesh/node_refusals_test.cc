// Peers that a node refuses: from another cluster, with another name, or with the name of a node
// that is alive.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/mesh/cluster.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "weft/core/manual_clock.h"
#include "weft/rpc/mesh/hello_places.h"

namespace weft::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Kind = NodeEvent::Kind;

std::string Say(Node& node, const std::string& to, CallOptions options = {.wait_for_ready = true}) {
  const std::shared_ptr<Peer> peer = node.To(to);
  EchoService::Stub stub(*peer);
  const absl::StatusOr<EchoReply> reply = stub.Echo(RequestOf("hi"), std::move(options));
  return reply.ok() ? reply->text() : reply.status().ToString();
}

// Returns a field of a Hello that holds a text.
std::string Field(int number, const std::string& text) {
  // Varint writes the tag and a value. Drop the value, and make the tag's type that of a text.
  std::string tag = raw::Varint(number, 0);
  tag.pop_back();
  tag.front() = static_cast<char>(tag.front() | 2);
  return absl::StrCat(tag, std::string(1, static_cast<char>(text.size())), text);
}

TEST(NodeRefusals, ANodeOfAnotherClusterIsRefusedByBoth) {
  Cluster cluster(2,
                  [](int i, NodeOptions& options) { options.cluster = i == 0 ? "red" : "blue"; });
  ASSERT_EQ(cluster.Start(0).ToString(), "OK");
  ASSERT_EQ(cluster.Start(1).ToString(), "OK");
  EXPECT_THAT(cluster.WhyIn(0, "b", PeerState::kRefused),
              AllOf(HasSubstr("FAILED_PRECONDITION"), HasSubstr("cluster")));
  EXPECT_THAT(cluster.WhyIn(1, "a", PeerState::kRefused), HasSubstr("FAILED_PRECONDITION"));
  EXPECT_THAT(Say(cluster[0], "b", {}), HasSubstr("peer b is not to be had"));
}

// c is started at the address that the view has for b.
TEST(NodeRefusals, Case06AnotherNodeAtTheExpectedAddressIsNotTakenForIt) {
  Cluster cluster(3, [](int i, NodeOptions& options) {
    if (i == 2) options.listen = {"inproc:b"};
  });
  ASSERT_EQ(cluster.Start(0).ToString(), "OK");
  ASSERT_EQ(cluster.Start(2).ToString(), "OK");
  EXPECT_THAT(cluster.WhyIn(0, "b", PeerState::kRefused),
              AllOf(HasSubstr("NOT_FOUND"), HasSubstr("this is c, not b")));
  EXPECT_THAT(cluster.EventOf(0, Kind::kWrongNode, "b"), HasSubstr("this is c, not b"));
  // No call for b has reached c.
  EXPECT_EQ(cluster.service(2).entered.load(), 0);
  EXPECT_THAT(Say(cluster[0], "b", {}), HasSubstr("UNAVAILABLE"));
  // c itself has dialled a, and a knows it as c.
  EXPECT_EQ(Say(cluster[0], "c"), "c:hi");
}

TEST(NodeRefusals, Case09OfTwoProcessesWithOneNameTheLivingOneStays) {
  Cluster cluster(3);
  cluster.StartAll();
  const uint64_t living = cluster[1].incarnation();
  NodeOptions options = cluster.OptionsOf(1);
  options.listen = {"inproc:b2"};
  // The newcomer starts later, at another address. Its number alone would make it the successor.
  options.incarnation = living + 1;
  absl::StatusOr<std::unique_ptr<Node>> newcomer = Node::Create(std::move(options));
  ASSERT_TRUE(newcomer.ok());
  ASSERT_EQ((*newcomer)->Start().ToString(), "OK");
  EXPECT_THAT(cluster.EventOf(0, Kind::kDuplicateName, "b"),
              AllOf(HasSubstr("ALREADY_EXISTS"), HasSubstr("inproc:b"),
                    HasSubstr(absl::StrCat(living)), HasSubstr(absl::StrCat(living + 1))));
  std::string why;
  EXPECT_TRUE(PollUntil([&] {
    for (const PeerInfo& info : (*newcomer)->peers()) {
      if (info.state == PeerState::kRefused) why = info.why.ToString();
    }
    return !why.empty();
  }));
  EXPECT_THAT(why, HasSubstr("ALREADY_EXISTS"));
  EXPECT_EQ(Say(cluster[0], "b"), "b:hi");
  EXPECT_EQ(cluster[0].To("b")->Info().incarnation, living);
}

// Gives the node a token, and an authenticator that takes the peer's name from its token.
void KnowByToken(NodeOptions& options, const std::string& token) {
  options.server.auth_token = token;
  options.server.authenticator = [](std::string_view shown,
                                    const std::string&) -> absl::StatusOr<std::string> {
    if (shown.substr(0, 3) != "is-") return absl::UnauthenticatedError("who is this?");
    return std::string(shown.substr(3));
  };
}

TEST(NodeRefusals, NodesWithTheirOwnTokensComeTogether) {
  Cluster cluster(3, [](int i, NodeOptions& options) {
    // The token of each node has that node's own name.
    KnowByToken(options, absl::StrCat("is-", std::string(1, static_cast<char>('a' + i))));
  });
  cluster.StartAll();
  EXPECT_EQ(Say(cluster[0], "b"), "b:hi");
}

TEST(NodeRefusals, AVerdictThatNamesAnotherIsRefusedAtBothEnds) {
  Cluster cluster(
      2, [](int i, NodeOptions& options) { KnowByToken(options, i == 0 ? "is-a" : "is-x"); });
  ASSERT_EQ(cluster.Start(0).ToString(), "OK");
  ASSERT_EQ(cluster.Start(1).ToString(), "OK");
  // a refuses b for its token, and b learns that it is refused.
  EXPECT_THAT(cluster.EventOf(0, Kind::kRefused, "b"),
              AllOf(HasSubstr("PERMISSION_DENIED"), HasSubstr("known as x")));
  EXPECT_THAT(cluster.WhyIn(0, "b", PeerState::kRefused), HasSubstr("PERMISSION_DENIED"));
  EXPECT_THAT(cluster.WhyIn(1, "a", PeerState::kRefused), HasSubstr("PERMISSION_DENIED"));
  EXPECT_EQ(cluster.service(0).entered.load() + cluster.service(1).entered.load(), 0);
}

// If the pauses did not grow, there would be a dial in each step.
TEST(NodeRefusals, ANodeThatIsRefusedDialsAboutOnceASecond) {
  ManualClock clock;
  Cluster cluster(2, [&clock](int, NodeOptions& options) {
    RuntimeOptions runtime;
    runtime.clock = &clock;
    options.server.runtime = RuntimeOf(std::move(runtime));
    options.server.auth_token = "stale";
    options.server.authenticator = [](std::string_view token,
                                      const std::string&) -> absl::StatusOr<std::string> {
      if (token == "stale") return absl::UnauthenticatedError("expired");
      return std::string();
    };
    options.calls.backoff = absl::Milliseconds(50);
    options.calls.backoff_factor = 1;
  });
  ASSERT_EQ(cluster.Start(0).ToString(), "OK");
  ASSERT_EQ(cluster.Start(1).ToString(), "OK");
  PeerInfo b;
  // No dial is under way once all dials have failed, so the clock may move again.
  const auto judged = [&] {
    b = cluster[0].peers().front();
    return b.dials > 0 && b.dials == b.failures;
  };
  ASSERT_TRUE(PollUntil([&] {
    clock.Advance(absl::Milliseconds(1));
    return judged();
  }));
  for (int i = 0; i < 200; ++i) {
    clock.Advance(absl::Milliseconds(100));
    ASSERT_TRUE(PollUntil(judged));
  }
  EXPECT_GE(b.dials, 5u);
  EXPECT_LE(b.dials, 60u) << "in 20 s";
  EXPECT_THAT(b.why.ToString(), HasSubstr("refuses this side: the token is refused: expired"));
}

TEST(NodeRefusals, OfStrangersThatSayNothingTheOldestGoes) {
  Cluster cluster(2, [](int, NodeOptions& options) { options.listen.push_back("127.0.0.1:0"); });
  cluster.StartAll();
  std::vector<RawPeer> strangers;
  // Connect one stranger more than an address may have.
  for (size_t i = 0; i <= internal::HelloPlaces::kEach; ++i) {
    strangers.push_back(RawPeer::ConnectTo(cluster[0].server().port()));
  }
  EXPECT_EQ(strangers.front().Read(1), "");
  EXPECT_EQ(Say(cluster[0], "b"), "b:hi");
}

// There is no authenticator, so names are believed. The stranger's numbers must change nothing all
// the same.
TEST(NodeRefusals, AStrangerWhoClaimsAMembersNameChangesNothingWhileTheMemberLives) {
  Cluster cluster(3, [](int, NodeOptions& options) { options.listen.push_back("127.0.0.1:0"); });
  cluster.StartAll();
  const uint64_t living = cluster[0].To("b")->Info().connections.at(0).id;
  for (int i = 0; i < 20; ++i) {
    RawPeer stranger = RawPeer::ConnectTo(cluster[0].server().port());
    // The stranger has another incarnation, and the highest dial number that there is.
    stranger.Send(raw::Preface() + raw::Frame(0x10, 0, 0, 0,
                                              raw::HelloBody() + Field(11, "b") +
                                                  Field(12, "test") + raw::Varint(13, 77) +
                                                  raw::Varint(14, UINT64_MAX) + Field(22, "a")));
    EXPECT_LT(stranger.Read(100'000).size(), 100'000u) << "it ends";
  }
  EXPECT_EQ(cluster[0].To("b")->Info().connections.at(0).id, living);
  EXPECT_EQ(cluster[0].To("b")->Info().state, PeerState::kUp);
  EXPECT_EQ(Say(cluster[0], "b"), "b:hi");
  EXPECT_EQ(Say(cluster[1], "a"), "a:hi");
}

// The stranger uses all that a client is told.
TEST(NodeRefusals, AStrangerIsNotTakenForTheNodeItself) {
  Cluster cluster(1, [](int, NodeOptions& options) { options.listen.push_back("127.0.0.1:0"); });
  cluster.StartAll();
  RawPeer stranger = RawPeer::ConnectTo(cluster[0].server().port());
  // These are the node's own name, cluster and incarnation.
  stranger.Send(raw::Preface() +
                raw::Frame(0x10, 0, 0, 0,
                           raw::HelloBody() + Field(11, "a") + Field(12, "test") +
                               raw::Varint(13, cluster[0].incarnation()) + Field(22, "a")));
  EXPECT_LT(stranger.Read(100'000).size(), 100'000u) << "it ends";
  EXPECT_EQ(Say(cluster[0], "a"), "a:hi");
}

TEST(NodeRefusals, OptionsThatCannotBeAreNamed) {
  const auto create = [](auto change) {
    Cluster cluster(1);
    NodeOptions options = cluster.OptionsOf(0);
    change(options);
    return Node::Create(std::move(options)).status().ToString();
  };
  EXPECT_THAT(create([](NodeOptions& o) { o.name = "a b"; }), HasSubstr("INVALID_ARGUMENT"));
  EXPECT_THAT(create([](NodeOptions& o) { o.members = nullptr; }), HasSubstr("membership"));
  EXPECT_THAT(create([](NodeOptions& o) { o.listen = {}; }), HasSubstr("listen"));
  EXPECT_THAT(create([](NodeOptions& o) { o.connections_per_peer = 17; }),
              HasSubstr("connections_per_peer"));
  EXPECT_THAT(create([](NodeOptions& o) { o.heartbeat = absl::ZeroDuration(); }),
              HasSubstr("heartbeat"));
  EXPECT_THAT(create([](NodeOptions& o) { o.cluster = std::string(256, 'c'); }),
              HasSubstr("cluster"));
}

TEST(NodeRefusals, AtLeastNineOfThreeIsRefusedAtOnce) {
  Cluster cluster(3);
  cluster.StartAll();
  // The wait is refused at once: no amount of waiting makes nine of three.
  EXPECT_THAT(cluster[0].WaitUntilUp(Want::AtLeast(9), absl::Hours(1)).ToString(),
              AllOf(HasSubstr("INVALID_ARGUMENT"), HasSubstr("9"), HasSubstr("3")));
}

}  // namespace
}  // namespace weft::test
