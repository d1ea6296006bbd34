// Servers and channels on three nodes of a simulation, in a network that breaks, judged by
// histories and traces.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/mesh/register_world.h"
#include "tests/mesh/same_traces.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"
#include "weft/rpc/simulation.h"

namespace weft::test {
namespace {

class ServerProgram final : public RegisterProgram {
 public:
  ServerProgram(World& world, SimulatedNode& node) : RegisterProgram(world, node) {
    ServerOptions options;
    options.runtime = node.runtime();
    options.network = node.network();
    server_ = std::make_unique<Server>(std::move(options));
    EXPECT_EQ(server_->Register(*this), absl::OkStatus());
    EXPECT_EQ(server_->Start(node.address()), absl::OkStatus());
  }

 private:
  CallTarget& TargetOf(const std::string& name) override {
    std::unique_ptr<Channel>& channel = channels_[name];
    if (channel == nullptr) {
      ChannelOptions options;
      options.runtime = node().runtime();
      options.network = node().network();
      options.retry.attempts = 3;
      options.limits.heartbeat_interval = absl::Seconds(1);
      channel = *Channel::Create(absl::StrCat("inproc:", name), std::move(options));
    }
    return *channel;
  }

  std::unique_ptr<Server> server_;
  std::map<std::string, std::unique_ptr<Channel>> channels_;
};

// Three servers, each with channels to all, in a storm of three seconds.
class ServersRun final : public RegisterRun<ServerProgram> {
 public:
  explicit ServersRun(uint64_t seed)
      : RegisterRun(seed, {.calls = 60, .breaks = 12, .lasts = absl::Seconds(3)}) {
    AddNodes({"a", "b", "c"});
  }
};

TEST(SimulatedServers, KeepTheirPromisesWhateverBreaks) {
  int64_t ended = 0, answered = 0;
  const SeedRange seeds = SeedRange::Of(200);
  const absl::Status result = Simulation::ForSeeds(seeds.first, seeds.count, [&](uint64_t seed) {
    ServersRun run(seed);
    const absl::Status status = run.Go();
    ended += run.world.ended;
    answered += run.world.answered;
    return status;
  });
  EXPECT_EQ(result, absl::OkStatus());
  EXPECT_GT(ended, 0);
  EXPECT_GT(answered * 3, ended) << "most of it has to work for the rest to mean something";
}

TEST(SimulatedServers, AHistoryTellsOfADiskThatForgets) {
  int caught = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    ServersRun run(seed);
    run.world.plants.forgets = true;
    caught += run.Go().ok() ? 0 : 1;
  }
  // A storm need not kill a node behind an acknowledged write, so not every seed finds the fault.
  EXPECT_GT(caught, 0);
}

TEST(SimulatedServers, SeedsAreANumberOrARange) {
  const auto parsed = [](const char* text) {
    const SeedRange range = SeedRange::Parse(text);
    return absl::StrCat(range.first, " and ", range.count);
  };
  EXPECT_EQ(parsed("500"), "1 and 500");
  EXPECT_EQ(parsed("501-1000"), "501 and 500");
  // A wrong text gives no seeds, and a storm without seeds fails.
  for (const char* wrong : {"", "some", "5-1", "1-2-3", "x-3"}) {
    EXPECT_EQ(SeedRange::Parse(wrong).count, 0) << wrong;
  }
}

// ---- traces

constexpr uint64_t kTracedSeeds = 20;

std::string TraceOfServers(uint64_t seed) {
  ServersRun run(seed);
  (void)run.Go();
  return TextOfTrace(run.world.sim);
}

TEST(SimulatedTraces, OfOneSeedAreTheSameInAnotherProcess) {
  ExpectSameInAnotherProcess(kTracedSeeds, TraceOfServers);
}

}  // namespace
}  // namespace weft::test
