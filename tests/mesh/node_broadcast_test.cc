// Broadcasts of a node to the members of its view, with the node itself among them, and while
// members die.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/mesh/cluster.h"
#include "weft/rpc/broadcast.h"
#include "weft/rpc/mesh/static_members.h"
#include "weft/rpc/node.h"
#include "weft/rpc/simulation.h"

namespace weft::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> TextsOf(const BroadcastResult<EchoReply>& result) {
  std::vector<std::string> texts;
  for (const auto& peer : result.peers) texts.push_back(peer.reply.ok() ? peer.reply->text() : "");
  return texts;
}

TEST(NodeBroadcast, ReachesTheOthersAndOneselfIfWished) {
  Cluster cluster(3);
  cluster.StartAll();
  const auto others = Broadcast(cluster[0], EchoService::kEcho, RequestOf("x"));
  EXPECT_EQ(others.status, absl::OkStatus());
  EXPECT_THAT(TextsOf(others), ElementsAre("b:x", "c:x"));
  const auto all = Broadcast(cluster[1], EchoService::kEcho, RequestOf("y"), {.self = Self::kCall});
  EXPECT_EQ(all.status, absl::OkStatus());
  // The answer of the node itself comes last.
  EXPECT_THAT(TextsOf(all), ElementsAre("a:y", "c:y", "b:y"));
}

TEST(NodeBroadcast, HasAMajorityWhileMostMembersLive) {
  Cluster cluster(5);
  cluster.StartAll();
  const BroadcastOptions options{.want = Want::Majority(), .self = Self::kCall};
  cluster.Kill(3);
  cluster.Kill(4);
  EXPECT_EQ(Broadcast(cluster[0], EchoService::kEcho, RequestOf("x"), options).status,
            absl::OkStatus());
  // Two of five are alive, and dead members still count.
  cluster.Kill(2);
  const auto result = Broadcast(cluster[0], EchoService::kEcho, RequestOf("x"), options);
  EXPECT_FALSE(result.status.ok());
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("of 5 answered, 3 needed"));
}

TEST(NodeBroadcast, BeforeItsStartANodeKnowsNobody) {
  Cluster cluster(1);
  NodeOptions options = cluster.OptionsOf(0);
  const auto node = Node::Create(std::move(options));
  ASSERT_TRUE(node.ok()) << node.status();
  const auto result =
      Broadcast(**node, EchoService::kEcho, RequestOf("x"), {.want = Want::First()});
  EXPECT_EQ(result.status.code(), absl::StatusCode::kFailedPrecondition);
}

// ---- in virtual time

// A node of a cluster in simulation, whose handlers answer at once.
class SimulatedMember final : public EchoService::Service {
 public:
  SimulatedMember(const std::vector<Member>& members, SimulatedNode& at) {
    NodeOptions options;
    options.name = at.name();
    options.listen = {at.address()};
    options.members = *StaticMembers::Create(members);
    options.incarnation = at.incarnation();
    options.server.runtime = at.runtime();
    options.server.network = at.network();
    node = *Node::Create(std::move(options));
    EXPECT_EQ(node->Register(*this), absl::OkStatus());
    EXPECT_EQ(node->Start(), absl::OkStatus());
  }
  absl::Status Echo(ServerContext&, EchoRequest&, EchoReply&) override { return absl::OkStatus(); }
  bool Sees(size_t others) const {
    size_t up = 0;
    for (const PeerInfo& peer : node->peers()) up += peer.state == PeerState::kUp ? 1 : 0;
    return up == others;
  }

  std::unique_ptr<Node> node;
};

// Nine peers at a millisecond's distance each: the calls of a broadcast are on their way together.
TEST(NodeBroadcast, TakesAsLongAsOneCall) {
  constexpr size_t kOthers = 9;
  const LinkQuality far{.delay = absl::Milliseconds(1), .max_delay = absl::Milliseconds(1)};
  Simulation sim({.seed = 3, .link = far});
  std::vector<Member> members;
  for (char c = 'a'; members.size() <= kOthers; ++c) {
    members.push_back({std::string(1, c), absl::StrCat("inproc:", std::string(1, c))});
  }
  std::map<std::string, std::weak_ptr<SimulatedMember>> programs;
  for (const Member& member : members) {
    sim.AddNode(member.name, [&](SimulatedNode& at) {
      auto program = std::make_shared<SimulatedMember>(members, at);
      programs[at.name()] = program;
      return program;
    });
  }
  ASSERT_TRUE(sim.RunUntil([&] { return programs["a"].lock()->Sees(kOthers); }, absl::Minutes(5)));
  Node& node = *programs["a"].lock()->node;
  // Returns the time that a call takes. `begin` starts it, and gets the closure to call at its end.
  const auto took = [&](const auto& begin) {
    std::optional<absl::Status> ended;
    const absl::Duration began = sim.Now();
    begin([&ended](absl::Status status) { ended = std::move(status); });
    EXPECT_TRUE(sim.RunUntil([&] { return ended.has_value(); }, absl::Minutes(1)));
    EXPECT_EQ(ended, absl::OkStatus());
    return sim.Now() - began;
  };
  // The sizes go from a byte to a mebibyte, which takes many frames.
  for (const size_t size : {size_t{1}, size_t{1} << 16, size_t{1} << 20}) {
    const EchoRequest request = PayloadOf(size);
    const absl::Duration one = took([&](auto done) {
      EchoService::Stub(*node.To("b"))
          .EchoAsync(request, {},
                     [done](absl::StatusOr<EchoReply> reply) { done(reply.status()); });
    });
    const absl::Duration all = took([&](auto done) {
      BroadcastAsync(node, EchoService::kEcho, request, {},
                     [done](BroadcastResult<EchoReply> result) { done(result.status); });
    });
    // The way there takes a millisecond, and so does the way back.
    EXPECT_GE(one, absl::Milliseconds(2)) << size;
    EXPECT_LE(all, one * 1.01) << size << ": " << one << " for one";
  }
}

}  // namespace
}  // namespace weft::test
