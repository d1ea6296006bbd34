// Clusters of 3 to 7 nodes in simulation, in a network that breaks: calls keep their promises, and
// when all is healed each pair has one connection, the same at both ends.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/mesh/member_program.h"
#include "tests/mesh/register_world.h"
#include "tests/mesh/same_traces.h"
#include "weft/rpc/node.h"
#include "weft/rpc/simulation.h"

namespace weft::test {
namespace {

using ::testing::AnyOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

// Builds with assertions run fewer seeds.
constexpr int kSeeds =
#ifdef NDEBUG
    10'000;
#else
    200;
#endif

// A run of three to seven nodes, by its seed. CheckPairs, after the run, demands one connection for
// each pair, the same at both ends and on the network.
class ClusterRun final : public RegisterRun<MemberProgram> {
 public:
  explicit ClusterRun(uint64_t seed, const Plants& plants = {})
      : RegisterRun(seed, {.calls = 50, .breaks = 10, .lasts = absl::Seconds(4)}) {
    world.plants = plants;
    std::vector<std::string> names;
    for (uint64_t left = 3 + world.sim.Random(5); left > 0; --left) {
      names.emplace_back(1, static_cast<char>('a' + static_cast<char>(names.size())));
    }
    AddNodes(std::move(names));
  }

  absl::Status CheckPairs() {
    for (const std::string& a : world.names) {
      const std::shared_ptr<MemberProgram> one = program(a);
      if (one == nullptr) return absl::InternalError(absl::StrCat(a, " is not there"));
      for (const PeerInfo& peer : one->member().peers()) {
        const std::string pair = absl::StrCat(a, " with ", peer.name);
        if (peer.state != PeerState::kUp) {
          return absl::InternalError(absl::StrCat(
              pair, ": ", std::string(PeerStates::Name(peer.state)), ", ", peer.why.ToString()));
        }
        if (peer.connections.size() != 1 || peer.connections[0].leaving) {
          return absl::InternalError(
              absl::StrCat(pair, ": ", peer.connections.size(), " connections"));
        }
        const size_t wires = world.sim.network().Between(a, peer.name).size();
        if (wires != 1) {
          return absl::InternalError(absl::StrCat(pair, ": ", wires, " on the network"));
        }
      }
    }
    return absl::OkStatus();
  }
};

TEST(SimulatedNodes, KeepTheirPromisesAndComeTogetherWhateverBreaks) {
  int64_t ended = 0, answered = 0;
  const SeedRange seeds = SeedRange::Of(kSeeds);
  const absl::Status result = Simulation::ForSeeds(seeds.first, seeds.count, [&](uint64_t seed) {
    ClusterRun run(seed);
    absl::Status status = run.Go();
    if (status.ok()) status = run.CheckPairs();
    ended += run.world.ended;
    answered += run.world.answered;
    return status;
  });
  EXPECT_EQ(result, absl::OkStatus());
  EXPECT_GT(ended, 0);
  EXPECT_GT(answered * 3, ended) << "most of it has to work for the rest to mean something";
}

// ---- plants: a fault is found, and by the rule that it breaks

// One of these seeds must find the fault.
constexpr uint64_t kPlantSeeds = 200;

// Returns the message of the first seed that finds the fault, or "" if none does.
std::string Found(const Plants& plants) {
  for (uint64_t seed = 1; seed <= kPlantSeeds; ++seed) {
    ClusterRun run(seed, plants);
    absl::Status status = run.Go();
    if (status.ok()) status = run.CheckPairs();
    if (status.ok()) continue;
    return std::string(status.message());
  }
  return "";
}

TEST(SimulatedNodesPlants, TwoConnectionsOfAPairThatStayAreFound) {
  EXPECT_THAT(Found({.keeps_both = true}),
              AnyOf(HasSubstr("2 connections"), HasSubstr("2 on the network")));
}

TEST(SimulatedNodesPlants, ACallThatIsSentAgainAfterItWasExecutedIsFound) {
  EXPECT_THAT(Found({.resends = true}),
              AnyOf(HasSubstr("was executed 2 times"), ContainsRegex("reached . 2 times")));
}

TEST(SimulatedNodesPlants, AMajorityOfThoseThatAreUpIsFound) {
  EXPECT_THAT(Found({.counts_reachable = true}), HasSubstr("nodes by then, not on"));
}

TEST(SimulatedNodesPlants, ADiskThatForgetsIsFound) {
  EXPECT_THAT(Found({.forgets = true}), AnyOf(HasSubstr("was acknowledged, and node"),
                                              HasSubstr("no order of the operations")));
}

TEST(SimulatedNodesPlants, AnOrderThatIsLostWhileAConnectionIsDrainedIsFound) {
  EXPECT_THAT(Found({.loses_order = true}), HasSubstr("which began before it"));
}

TEST(SimulatedNodesPlants, TheOrderOfAMapOfHashesShowsInTraces) {
  ExpectToDifferInAnotherProcess(5, [](uint64_t seed) {
    ClusterRun run(seed, {.hashes = true});
    (void)run.Go();
    return TextOfTrace(run.world.sim);
  });
}

// ---- many

// Builds with assertions have fewer nodes.
constexpr int kMany =
#ifdef NDEBUG
    100;
#else
    40;
#endif

// A mesh of many nodes that make no calls and lose nothing. The tests look at how it comes up.
class ManyNodes : public testing::Test {
 protected:
  ManyNodes() : run_(1, {.calls = 0, .breaks = 0, .lasts = absl::ZeroDuration()}) {
    std::vector<std::string> names;
    for (int i = 0; i < kMany; ++i) names.push_back(absl::StrCat("n", 100 + i));
    run_.AddNodes(std::move(names));
  }
  Simulation& sim() { return run_.world.sim; }
  // True if each node has each other one up.
  bool AllUp() {
    for (const std::string& name : run_.world.names) {
      for (const PeerInfo& peer : run_.program(name)->member().peers()) {
        if (peer.state != PeerState::kUp) return false;
      }
    }
    return true;
  }
  // Runs until AllUp, and returns the time that took.
  absl::Duration UntilAllUp() {
    const absl::Duration began = sim().Now();
    do {
      sim().RunFor(absl::Milliseconds(5));
    } while (!AllUp() && sim().Now() - began < absl::Minutes(1));
    return sim().Now() - began;
  }
  // Returns the most connections that one node has accepted in one second, since the trace had
  // `lines_before` lines. 0 means that not all of these lines were kept.
  size_t BusiestSecond(size_t lines_before) {
    std::map<std::string, size_t> by_node_and_second;
    size_t most = 0;
    const auto& lines = sim().trace().lines();
    const size_t since = sim().trace().size() - lines_before;
    if (since > lines.size()) return 0;
    for (size_t i = lines.size() - since; i < lines.size(); ++i) {
      const std::vector<std::string> words = absl::StrSplit(lines[i], ' ');
      if (words.size() < 3 || words[1] != "dial") continue;
      const std::string to = words[2].substr(words[2].find('>') + 1, 4);
      const std::string second = words[0].substr(0, words[0].find('.'));
      most = std::max(most, ++by_node_and_second[absl::StrCat(to, " ", second)]);
    }
    return most;
  }

  static constexpr int kTell = 10;  // nodes that call all the others meanwhile
  static constexpr size_t kPairs = kMany * (kMany - 1) / 2;
  RegisterRun<MemberProgram> run_;
};

TEST_F(ManyNodes, ComeTogetherSoonWhenAllConnectionsAreCutAtOnce) {
  UntilAllUp();
  sim().RunFor(absl::Seconds(6));  // young connections have failed, which is another case
  ASSERT_EQ(sim().network().connections().size(), kPairs);
  const uint64_t before = sim().network().dialled();
  const size_t lines_before = sim().trace().size();
  const absl::Duration cut_at = sim().Now();
  EXPECT_EQ(sim().network().CutAll(), kPairs);
  sim().RunFor(absl::Microseconds(1));
  ASSERT_FALSE(AllUp());
  for (int i = 0; i < kTell; ++i) run_.program(run_.world.names[static_cast<size_t>(i)])->TellAll();
  UntilAllUp();
  const absl::Duration again = sim().Now() - cut_at;
  const uint64_t dialled = sim().network().dialled() - before;
  const size_t busiest = BusiestSecond(lines_before);
  std::printf(
      "%d nodes: up again after %s, %d dials of %d pairs, at most %d a second at one node\n", kMany,
      absl::FormatDuration(again).c_str(), static_cast<int>(dialled), static_cast<int>(kPairs),
      static_cast<int>(busiest));
  // At most half of the pairs dial from both ends, and no node is flooded although all dial at
  // once.
  EXPECT_LE(again, absl::Seconds(5));
  EXPECT_LE(dialled * 2, kPairs * 3);
  EXPECT_GT(busiest, 0u);
  EXPECT_LE(busiest * 2, size_t{kMany} * 3);
  EXPECT_TRUE(sim().RunUntil([&] { return run_.world.open == 0; }, absl::Seconds(10)));
  EXPECT_EQ(run_.world.answered, kTell) << "calls that waited must not fail";
  EXPECT_EQ(run_.world.history.CheckStatus(), absl::OkStatus());
  EXPECT_EQ(sim().network().connections().size(), kPairs + kTell) << "and those to themselves";
}

TEST(SimulatedNodes, ACallThatWaitsOutlivesTheFirstDialThatIsRefused) {
  RegisterRun<MemberProgram> run(1, {.calls = 0, .breaks = 0, .lasts = absl::ZeroDuration()});
  run.AddNodes({"a", "b"});
  Simulation& sim = run.world.sim;
  const auto b_of_a = [&] { return run.program("a")->member().peers().front(); };
  ASSERT_TRUE(sim.RunUntil([&] { return b_of_a().state == PeerState::kUp; }, absl::Seconds(5)));
  sim.RunFor(absl::Seconds(10));
  const uint64_t failures = b_of_a().failures;
  sim.Kill("b");
  run.program("a")->TellAll();
  ASSERT_TRUE(sim.RunUntil([&] { return b_of_a().failures > failures; }, absl::Seconds(5)));
  ASSERT_EQ(run.world.open, 1) << "b has refused a dial, and the call waits";
  sim.Restart("b");
  ASSERT_TRUE(sim.RunUntil([&] { return run.world.open == 0; }, absl::Seconds(10)));
  EXPECT_EQ(run.world.answered, 1);
}

// ---- traces

constexpr uint64_t kTracedSeeds = 100;

std::string TraceOfCluster(uint64_t seed) {
  ClusterRun run(seed);
  (void)run.Go();
  return TextOfTrace(run.world.sim);
}

TEST(SimulatedNodesTraces, OfOneSeedAreTheSameInAnotherProcess) {
  ExpectSameInAnotherProcess(kTracedSeeds, TraceOfCluster);
}

}  // namespace
}  // namespace weft::test
