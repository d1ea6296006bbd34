// Ordered calls from one node to another, while their connections come and go: in simulation, where
// the test decides every moment, and with threads.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/mesh/cluster.h"
#include "tests/protos/ledger.weft.h"
#include "weft/rpc/mesh/static_members.h"
#include "weft/rpc/node.h"
#include "weft/rpc/simulation.h"

namespace weft::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Entry EntryOf(int64_t number) {
  Entry entry;
  entry.set_number(number);
  return entry;
}

std::vector<int64_t> UpTo(int64_t n) {
  std::vector<int64_t> numbers;
  for (int64_t i = 1; i <= n; ++i) numbers.push_back(i);
  return numbers;
}

// A node of a simulation with a ledger whose handlers take as long as the test says.
class Bookkeeper final : public Ledger::AsyncService {
 public:
  explicit Bookkeeper(SimulatedNode& node) : node_(node) {
    NodeOptions options;
    options.name = node.name();
    options.cluster = "simulated";
    options.listen = {node.address()};
    options.members = *StaticMembers::Create({{"a", "inproc:a"}, {"b", "inproc:b"}});
    options.incarnation = node.incarnation();
    options.server.runtime = node.runtime();
    options.server.network = node.network();
    member_ = *Node::Create(std::move(options));
    EXPECT_EQ(member_->Register(*this), absl::OkStatus());
    EXPECT_EQ(member_->Start(), absl::OkStatus());
  }

  void Append(ServerContext&, Entry& entry, Responder<EntryReply> responder) override {
    executed.push_back(entry.number());
    overlapped = overlapped || running > 0;
    ++running;
    auto shared = std::make_shared<Responder<EntryReply>>(std::move(responder));
    node_.After(takes(), [this, shared] {
      --running;
      shared->Finish();
    });
  }
  void AppendInline(ServerContext& call, Entry& entry, Responder<EntryReply> responder) override {
    Append(call, entry, std::move(responder));
  }

  Node& member() { return *member_; }

  std::function<absl::Duration()> takes = [] { return absl::ZeroDuration(); };
  std::vector<int64_t> executed;
  int running = 0;
  bool overlapped = false;

 private:
  SimulatedNode& node_;
  std::unique_ptr<Node> member_;
};

using AppendMethod = void (Ledger::Stub::*)(const Entry&, CallOptions, Callback<EntryReply>);

// Node "a" calls node "b". The first connection in use is one that b has dialled. The connection
// that a had dialled before, with slow bytes, replaces it later.
class NodeOrderTest : public testing::TestWithParam<AppendMethod> {
 protected:
  static constexpr LinkQuality kQuick{.delay = absl::Milliseconds(1),
                                      .max_delay = absl::Milliseconds(1)};
  static constexpr LinkQuality kUneven{.delay = absl::Milliseconds(1),
                                       .max_delay = absl::Milliseconds(20)};

  void Begin(uint64_t seed) {
    sim_ = std::make_unique<Simulation>(SimulationOptions{.seed = seed, .io_threads = 3});
    // The first bytes of a take 400 ms; the connection that b dials meanwhile is up before they
    // come.
    sim_->network().SetLink("a", "b", {.delay = absl::Milliseconds(400)});
    for (const char* name : {"b", "a"}) {
      sim_->AddNode(name, [this](SimulatedNode& node) {
        auto program = std::make_shared<Bookkeeper>(node);
        programs_[node.name()] = program;
        return program;
      });
    }
    // The Hello of a is on its way, and b dials behind it.
    sim_->RunFor(absl::Milliseconds(5));
    ASSERT_EQ(sim_->network().Between("a", "b").size(), 1u);
    sim_->network().SetLink("a", "b", kQuick);
    ASSERT_TRUE(sim_->RunUntil([this] { return Held().slot == 0 && !Held().dialled; },
                               absl::Milliseconds(300)));
    held_ = Held().id;
  }
  void End() {
    programs_.clear();
    sim_ = nullptr;
  }
  std::shared_ptr<Bookkeeper> At(const std::string& name) { return programs_[name].lock(); }
  // Returns the connection that a calls over. A `slot` of 99 means that there is none.
  PeerConnectionInfo Held() {
    const std::vector<PeerInfo> peers = At("a")->member().peers();
    for (const PeerConnectionInfo& each : peers[0].connections) {
      if (!each.leaving && each.age > absl::ZeroDuration() && each.bytes_in > 0) return each;
    }
    PeerConnectionInfo none;
    none.slot = 99;
    return none;
  }
  bool Replaced() { return Held().slot == 0 && Held().id != held_; }
  void Call(int64_t number, CallOptions options = {.timeout = absl::InfiniteDuration()}) {
    Ledger::Stub stub(*At("a")->member().To("b"));
    (stub.*GetParam())(EntryOf(number), options, [this, number](absl::StatusOr<EntryReply> reply) {
      ++ended_;
      if (!reply.ok()) failed_.push_back(number);
    });
  }

  std::map<std::string, std::weak_ptr<Bookkeeper>> programs_;
  std::unique_ptr<Simulation> sim_;
  uint64_t held_ = 0;
  int64_t ended_ = 0;
  std::vector<int64_t> failed_;
};

TEST_P(NodeOrderTest, Case05CallsAreExecutedInOrderWhileTheConnectionChanges) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    Begin(seed);
    ended_ = 0;
    sim_->network().SetLink("a", "b", kUneven);
    At("b")->takes = [this] { return absl::Milliseconds(static_cast<int64_t>(sim_->Random(15))); };
    int64_t before = 0;
    for (int64_t n = 1; n <= 100; ++n) {
      Call(n);
      if (!Replaced()) before = n;
      sim_->RunFor(absl::Milliseconds(5));
    }
    ASSERT_TRUE(sim_->RunUntil([this] { return ended_ == 100; }, absl::Seconds(60)));
    EXPECT_GT(before, 10);
    EXPECT_LT(before, 90) << "both connections are to carry many";
    EXPECT_THAT(failed_, IsEmpty());
    EXPECT_EQ(At("b")->executed, UpTo(100));
    EXPECT_FALSE(At("b")->overlapped);
    End();
  }
}

// The caller has given up the first call, while its handler still runs.
TEST_P(NodeOrderTest, Case05ACallWaitsForOneThatItsCallerDoesNotWaitFor) {
  Begin(1);
  At("b")->takes = [] { return absl::Seconds(2); };
  Call(1, {.timeout = absl::Milliseconds(50)});
  ASSERT_TRUE(sim_->RunUntil([this] { return ended_ == 1; }, absl::Seconds(1)));
  ASSERT_TRUE(sim_->RunUntil([this] { return Replaced(); }, absl::Seconds(1)));
  Call(2);
  ASSERT_TRUE(sim_->RunUntil([this] { return ended_ == 2; }, absl::Seconds(60)));
  EXPECT_THAT(failed_, ElementsAre(1));
  EXPECT_THAT(At("b")->executed, ElementsAre(1, 2));
  EXPECT_FALSE(At("b")->overlapped);
  End();
}

// The request of the first call is still on its way when the second has been executed.
TEST_P(NodeOrderTest, Case05ACallThatComesTooLateIsNotExecuted) {
  Begin(1);
  sim_->network().SetLink("a", "b", {.delay = absl::Milliseconds(500)});
  // Messages that are on their way by the other connection arrive before the call.
  sim_->RunFor(absl::Milliseconds(10));
  // The caller gives up long before the bytes of this call arrive.
  Call(1, {.timeout = absl::Milliseconds(20)});
  sim_->RunFor(absl::Milliseconds(1));
  sim_->network().SetLink("a", "b", kQuick);
  ASSERT_TRUE(sim_->RunUntil([this] { return ended_ == 1; }, absl::Seconds(1)));
  ASSERT_TRUE(sim_->RunUntil([this] { return Replaced(); }, absl::Seconds(1)));
  Call(2);
  ASSERT_TRUE(sim_->RunUntil([this] { return ended_ == 2; }, absl::Seconds(1)));
  // The bytes of the first call have arrived by now.
  sim_->RunFor(absl::Seconds(60));
  EXPECT_THAT(failed_, ElementsAre(1));
  EXPECT_THAT(At("b")->executed, ElementsAre(2));
  End();
}

INSTANTIATE_TEST_SUITE_P(Methods, NodeOrderTest,
                         testing::Values(&Ledger::Stub::AppendAsync,
                                         &Ledger::Stub::AppendInlineAsync),
                         [](const testing::TestParamInfo<AppendMethod>& which) {
                           return std::string(which.index == 0 ? "OnWorkers" : "Inline");
                         });

// ---- with threads

// Counts as wrong if two calls run at once, or if a number does not rise.
class WatchfulLedger final : public Ledger::Service {
 public:
  absl::Status Append(ServerContext&, Entry& entry, EntryReply& reply) override {
    if (running_.fetch_add(1) != 0) ++wrong;
    if (last_.exchange(entry.number()) >= entry.number()) ++wrong;
    ++executed;
    running_.fetch_sub(1);
    reply.set_number(entry.number());
    return absl::OkStatus();
  }
  absl::Status AppendInline(ServerContext& call, Entry& entry, EntryReply& reply) override {
    return Append(call, entry, reply);
  }

  std::atomic<int> wrong{0}, executed{0};

 private:
  std::atomic<int> running_{0};
  std::atomic<int64_t> last_{0};
};

TEST(NodeOrderThreadsTest, Case05CallsAreExecutedInOrderWhileConnectionsAreCut) {
  constexpr int kCalls = 3000;
  for (const AppendMethod append : {&Ledger::Stub::AppendAsync, &Ledger::Stub::AppendInlineAsync}) {
    WatchfulLedger ledger;
    Cluster cluster(2, [](int, NodeOptions& options) {
      options.connections_per_peer = 2;
      options.server.io_threads = 3;
    });
    ASSERT_EQ(cluster.Prepare(1).ToString(), "OK");
    ASSERT_EQ(cluster[1].Register(ledger).ToString(), "OK");
    ASSERT_EQ(cluster[1].Start().ToString(), "OK");
    ASSERT_EQ(cluster.Start(0).ToString(), "OK");
    ASSERT_EQ(cluster[0].WaitUntilUp(Want::All(), absl::Seconds(30)).ToString(), "OK");
    const std::shared_ptr<Peer> peer = cluster[0].To("b");
    Ledger::Stub stub(*peer);
    Watched<int> ended{0};
    std::atomic<int> well{0};
    for (int n = 1; n <= kCalls; ++n) {
      (stub.*append)(EntryOf(n), {.timeout = absl::InfiniteDuration(), .wait_for_ready = true},
                     [&](absl::StatusOr<EntryReply> reply) {
                       well += reply.ok() ? 1 : 0;
                       ended.Update([](int& e) { ++e; });
                     });
      if (n % 300 != 0) continue;
      for (const uint64_t connection : cluster.network().connections()) {
        (void)cluster.network().Cut(connection);
      }
      // After some of the cuts, wait until nothing is under way before the next call.
      if (n % 600 == 0) {
        ASSERT_TRUE(ended.WaitFor([n](int e) { return e == n; }));
      }
    }
    ASSERT_TRUE(ended.WaitForValue(kCalls));
    EXPECT_EQ(ledger.wrong, 0);
    // More calls may have been executed: some answers were lost with their connection.
    EXPECT_GE(ledger.executed, well);
    EXPECT_GT(well, kCalls / 10) << "most of it has to work for the rest to mean something";
  }
}

}  // namespace
}  // namespace weft::test
