// Two nodes in simulation, whose connections cross, lose one direction, or are slow.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/protos/register.weft.h"
#include "weft/rpc/mesh/static_members.h"
#include "weft/rpc/node.h"
#include "weft/rpc/simulation.h"

namespace weft::test {
namespace {

using ::testing::IsEmpty;

// A peer whose last byte is older than this is down: it is asked after the first interval, and has
// two more to answer.
constexpr absl::Duration kLostAfter = absl::Milliseconds(3200);
// The longest pause between two dials.
constexpr absl::Duration kLongestPause = absl::Seconds(10);
constexpr size_t kMiB = size_t{1} << 20;

// Answers each read with a mebibyte.
class Store final : public Register::AsyncService {
 public:
  explicit Store(SimulatedNode& node) {
    NodeOptions options;
    options.name = node.name();
    options.cluster = "simulated";
    options.listen = {node.address()};
    options.members = *StaticMembers::Create({{"a", "inproc:a"}, {"b", "inproc:b"}});
    options.incarnation = node.incarnation();
    options.on_event = [this](const NodeEvent& event) {
      if (event.kind == NodeEvent::Kind::kPeer) states.push_back(event.state);
    };
    options.server.runtime = node.runtime();
    options.server.network = node.network();
    // Reading pauses when a quarter of this limit waits.
    options.server.limits.max_message_bytes = 16 * kMiB;
    options.server.limits.max_output_bytes = 64 * kMiB;
    member_ = *Node::Create(std::move(options));
    EXPECT_EQ(member_->Register(*this), absl::OkStatus());
    EXPECT_EQ(member_->Start(), absl::OkStatus());
  }

  void Read(ServerContext&, RegisterRead&, Responder<RegisterReply> responder) override {
    (*responder.reply().mutable_notes())["large"] = std::string(kMiB, 'x');
    responder.Finish();
  }

  Node& member() { return *member_; }
  std::vector<PeerConnectionInfo> connections() { return member_->peers()[0].connections; }
  PeerState state() { return member_->peers()[0].state; }

  std::vector<PeerState> states;

 private:
  std::unique_ptr<Node> member_;
};

// Two nodes of a simulation, over a link that is slow.
class SlowLinksTest : public testing::Test {
 protected:
  void Begin(uint64_t seed, const LinkQuality& link) {
    stores_.clear();
    sim_ = nullptr;  // one at a time on a thread
    sim_ = std::make_unique<Simulation>(
        SimulationOptions{.seed = seed, .link = link, .io_threads = 2});
    for (const char* name : {"a", "b"}) {
      sim_->AddNode(name, [this](SimulatedNode& node) {
        auto store = std::make_shared<Store>(node);
        stores_[node.name()] = store;
        return store;
      });
    }
  }
  std::shared_ptr<Store> At(const std::string& name) { return stores_[name].lock(); }
  bool BothUp() { return At("a")->state() == PeerState::kUp && At("b")->state() == PeerState::kUp; }
  // Returns the dialer of the connection that a node holds and that has brought bytes, or none if
  // there is no such connection.
  std::optional<std::string> DialledBy(const std::string& name) {
    const std::string other = name == "a" ? "b" : "a";
    for (const PeerConnectionInfo& each : At(name)->connections()) {
      if (!each.leaving && each.bytes_in > 0) return each.dialled ? name : other;
    }
    return std::nullopt;
  }
  // Starts a read, and counts `*left` down when it has been answered.
  void Read(const std::string& from, const std::string& to, int* left) {
    Register::Stub stub(At(from)->member().To(to));
    stub.ReadAsync(RegisterRead(), {.timeout = absl::Minutes(5)},
                   [left](absl::StatusOr<RegisterReply> reply) {
                     EXPECT_EQ(reply.status(), absl::OkStatus());
                     --*left;
                   });
  }

  std::map<std::string, std::weak_ptr<Store>> stores_;
  std::unique_ptr<Simulation> sim_;
};

// The bytes of one node are held for 30 s, from some moment of the crossing on, so the other cannot
// hear which connection was left.
TEST_F(SlowLinksTest, Case02NodesWhoseDialsCrossedAndThatLoseADirectionTalkAgain) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Begin(seed, {.delay = absl::Milliseconds(200), .max_delay = absl::Milliseconds(200)});
    sim_->RunFor(absl::Milliseconds(190));
    ASSERT_EQ(sim_->network().Between("a", "b").size(), 2u) << "their dials are to cross";
    sim_->RunFor(absl::Milliseconds(static_cast<int64_t>(sim_->Random(1000))));
    const std::string from = seed % 2 == 0 ? "a" : "b", to = seed % 2 == 0 ? "b" : "a";
    sim_->network().PartitionOneWay(from, to);
    absl::Duration differ_since = sim_->Now();
    const auto watch = [&](absl::Duration until) {
      for (; sim_->Now() < until; sim_->RunFor(absl::Milliseconds(10))) {
        const auto one = DialledBy("a"), other = DialledBy("b");
        if (!one.has_value() || !other.has_value() || one == other) differ_since = sim_->Now();
        ASSERT_LE(sim_->Now() - differ_since, kLostAfter) << "they hold different ones";
      }
    };
    watch(sim_->Now() + absl::Seconds(30));
    sim_->network().Heal(from, to);
    ASSERT_TRUE(
        sim_->RunUntil([this] { return BothUp(); }, kLostAfter + kLongestPause + absl::Seconds(1)));
    int left = 2;
    Read("a", "b", &left);
    Read("b", "a", &left);
    EXPECT_TRUE(sim_->RunUntil([&left] { return left == 0; }, absl::Seconds(10)));
    watch(sim_->Now() + absl::Seconds(60));
    EXPECT_EQ(DialledBy("a"), DialledBy("b"));
    EXPECT_EQ(sim_->network().Between("a", "b").size(), 1u);
    EXPECT_EQ(At("a")->connections().size(), 1u);
    EXPECT_EQ(At("b")->connections().size(), 1u);
  }
}

// The test runs both ways round, since only one of the two nodes ever stops reading.
TEST_F(SlowLinksTest, Case14APeerThatReadsSlowlyIsNeverSuspect) {
  for (const bool to_a : {true, false}) {
    SCOPED_TRACE(to_a);
    Begin(1, {.delay = absl::Milliseconds(1),
              .max_delay = absl::Milliseconds(2),
              .bytes_per_second = 3'000'000});
    ASSERT_TRUE(sim_->RunUntil([this] { return BothUp(); }, absl::Seconds(5)));
    sim_->RunFor(absl::Seconds(1));
    const std::string reader = to_a ? "a" : "b", store = to_a ? "b" : "a";
    ASSERT_EQ(At(store)->connections().size(), 1u);
    const uint64_t connection = At(store)->connections()[0].id;
    EXPECT_EQ(At(store)->connections()[0].queued, 0u);
    At("a")->states.clear();
    At("b")->states.clear();
    int left = 40;
    const absl::Duration began = sim_->Now();
    for (int i = 0; i < 40; ++i) Read(reader, store, &left);
    ASSERT_TRUE(sim_->RunUntil([&] { return At(store)->connections()[0].queued > 32 * kMiB; },
                               absl::Seconds(2)));
    EXPECT_LT(At(reader)->connections()[0].queued, kMiB);
    ASSERT_TRUE(sim_->RunUntil([&left] { return left == 0; }, absl::Minutes(2)));
    EXPECT_GT(sim_->Now() - began, absl::Seconds(13)) << "it is to be slow";
    EXPECT_THAT(At("a")->states, IsEmpty());
    EXPECT_THAT(At("b")->states, IsEmpty());
    ASSERT_EQ(At(store)->connections().size(), 1u);
    EXPECT_EQ(At(store)->connections()[0].id, connection);
    EXPECT_EQ(At(store)->connections()[0].queued, 0u);
  }
}

}  // namespace
}  // namespace weft::test
