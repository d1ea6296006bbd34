// Views that change while calls run: members that join, leave or move, and lists that are refused.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/mesh/cluster.h"

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

TEST(NodeViews, OneThatJoinsIsCalled) {
  Cluster cluster(3);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(cluster.Start(i).ToString(), "OK");
  const std::vector<Member> all = cluster.Members();
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(cluster.members(i).Set({all[0], all[1]}).ToString(), "OK");
  }
  EXPECT_EQ(Say(cluster[0], "b"), "b:hi");
  EXPECT_THAT(Say(cluster[0], "c", {}), HasSubstr("c is no member any more"));
  for (int i = 0; i < 3; ++i) ASSERT_EQ(cluster.members(i).Set(all).ToString(), "OK");
  EXPECT_EQ(Say(cluster[0], "c"), "c:hi");
  // The node has had three views: all members, two of them, and all again.
  EXPECT_EQ(cluster[0].view().epoch, 3u);
}

TEST(NodeViews, OneThatLeavesEndsItsCallsAndTheOthersGoOn) {
  Cluster cluster(3);
  cluster.StartAll();
  const std::vector<Member> all = cluster.Members();
  const std::shared_ptr<Peer> c = cluster[0].To("c");
  const uint64_t with_b = cluster[0].To("b")->Info().connections.at(0).id;
  ASSERT_EQ(cluster.members(0).Set({all[0], all[1]}).ToString(), "OK");
  EXPECT_EQ(c->Info().state, PeerState::kLeft);
  EXPECT_THAT(Say(cluster[0], "c"), HasSubstr("UNAVAILABLE"));
  EXPECT_EQ(Say(cluster[0], "b"), "b:hi");
  // The connection is the same: a change of the view disturbs no member that stays.
  EXPECT_EQ(cluster[0].To("b")->Info().connections.at(0).id, with_b);
  EXPECT_TRUE(PollUntil([&] { return c->Info().connections.empty(); }));
}

TEST(NodeViews, Case07ANewAddressIsDialledAndTheOldOneNeverAgain) {
  Cluster cluster(2, [](int i, NodeOptions& options) {
    if (i == 1) options.listen = {"inproc:b.new"};
  });
  // Nothing listens at the address that a's view has for b.
  ASSERT_EQ(cluster.Start(0).ToString(), "OK");
  EXPECT_THAT(cluster.WhyIn(0, "b", PeerState::kDown), HasSubstr("inproc:b"));
  std::vector<Member> members = cluster.Members();
  members[1].address = "inproc:b.new";
  // b listens at its new address, which a learns from its own view alone.
  ASSERT_EQ(cluster.Start(1).ToString(), "OK");
  ASSERT_EQ(cluster.members(0).Set(members).ToString(), "OK");
  EXPECT_EQ(Say(cluster[0], "b"), "b:hi");
  EXPECT_EQ(cluster[0].To("b")->Info().address, "inproc:b.new");
}

TEST(NodeViews, Case23AViewThatCannotBeLeavesTheLastOne) {
  Cluster cluster(2);
  cluster.StartAll();
  EXPECT_FALSE(cluster.members(0).Set({}).ok());
  EXPECT_FALSE(cluster.members(0).Set({{"a", "inproc:a"}, {"a", "inproc:b"}}).ok());
  EXPECT_THAT(cluster.EventOf(0, Kind::kViewFailed, ""), HasSubstr("INVALID_ARGUMENT"));
  EXPECT_EQ(cluster[0].view().view.size(), 2u);
  EXPECT_EQ(Say(cluster[0], "b"), "b:hi");
}

TEST(NodeViews, OneMembershipServesOneNode) {
  std::shared_ptr<Membership> members;
  Cluster cluster(2, [&](int i, NodeOptions& options) {
    // Gives the first node's membership to the second node as well.
    if (i == 0) members = options.members;
    if (i == 1) options.members = members;
  });
  ASSERT_EQ(cluster.Start(0).ToString(), "OK");
  NodeOptions options = cluster.OptionsOf(1);
  absl::StatusOr<std::unique_ptr<Node>> other = Node::Create(std::move(options));
  ASSERT_TRUE(other.ok());
  EXPECT_THAT((*other)->Start().ToString(),
              AllOf(HasSubstr("FAILED_PRECONDITION"), HasSubstr("one node")));
}

TEST(NodeViews, Case23ItselfIsTakenAsSelfByName) {
  Cluster cluster(2);
  cluster.StartAll();
  std::vector<Member> members = cluster.Members();
  members[0].address = "inproc:another.name.of.a";
  ASSERT_EQ(cluster.members(0).Set(members).ToString(), "OK");
  EXPECT_EQ(Say(cluster[0], "a"), "a:hi");
  ASSERT_EQ(cluster.members(0).Set({members[1]}).ToString(), "OK");  // a does not list itself
  EXPECT_EQ(Say(cluster[0], "a"), "a:hi");
  EXPECT_EQ(Say(cluster[0], "b"), "b:hi");
}

}  // namespace
}  // namespace weft::test
