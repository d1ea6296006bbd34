#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tally.weft.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/history.h"
#include "weft/rpc/server.h"
#include "weft/rpc/simulation.h"

// The world's knowledge, which outlives the programs.
struct World {
  weft::History history;
  // No mutex: everything in a simulation runs on one thread.
  int64_t added = 0;
};

// A node that adds, and answers a little later.
class Adder final : public tally::Tally::AsyncService {
 public:
  Adder(World& world, weft::SimulatedNode& node)
      : world_(world), node_(node), server_(Options(node)) {}

  absl::Status Start() {
    if (absl::Status s = server_.Register(*this); !s.ok()) return s;
    return server_.Start(node_.address());
  }

  void Add(weft::ServerContext&, tally::AddRequest& request,
           weft::Responder<tally::AddReply> responder) override {
    // First of all: a call that is cut off behind this line may have had its effect.
    world_.history.Executed(static_cast<weft::History::Id>(request.call()), node_.name());
    for (const auto& [name, amount] : request.amounts()) world_.added += amount;
    responder.reply().set_sum(world_.added);
    // After takes a function that can be copied, and a responder can only be moved.
    auto later = std::make_shared<weft::Responder<tally::AddReply>>(std::move(responder));
    node_.After(absl::Milliseconds(node_.Random(20)), [later] { later->Finish(); });
  }

 private:
  static weft::ServerOptions Options(weft::SimulatedNode& node) {
    weft::ServerOptions options;
    options.runtime = node.runtime();
    options.network = node.network();
    return options;
  }

  World& world_;
  weft::SimulatedNode& node_;
  weft::Server server_;
};

// A node that calls the other every 50 ms.
class Caller {
 public:
  Caller(World& world, weft::SimulatedNode& node) : world_(world), node_(node) {
    weft::ChannelOptions options;
    options.runtime = node.runtime();
    options.network = node.network();
    options.limits.heartbeat_interval = absl::Seconds(1);
    auto channel = weft::Channel::Create("inproc:adder", std::move(options));
    if (channel.ok()) channel_ = *std::move(channel);
    CallAgain();
  }

  int ok = 0, failed = 0;

 private:
  void CallAgain() {
    const weft::History::Id id = world_.history.Began({.what = "Add"});
    tally::AddRequest request;
    request.set_call(static_cast<int64_t>(id));
    // A map: its order in memory must not change the run.
    (*request.mutable_amounts())["apples"] = 1;
    (*request.mutable_amounts())["pears"] = 2;
    // Shared with the callback: it has to live until the call has ended.
    auto context = std::make_shared<weft::ClientContext>();
    tally::Tally::Stub(*channel_).AddAsync(
        request, {.timeout = absl::Seconds(1), .context = context.get()},
        [this, id, context](absl::StatusOr<tally::AddReply> reply) {
          ++(reply.ok() ? ok : failed);
          world_.history.Ended(
              id, weft::History::OutcomeOf(reply.status(), context->may_have_been_executed()));
        });
    node_.After(absl::Milliseconds(50), [this] { CallAgain(); });
  }

  World& world_;
  weft::SimulatedNode& node_;
  std::unique_ptr<weft::Channel> channel_;
};

// A run, of which the seed decides everything. The hash of its trace, or what was wrong.
absl::StatusOr<uint64_t> Run(uint64_t seed) {
  World world;
  weft::Simulation sim({.seed = seed});
  Caller* caller = nullptr;
  absl::Status started;
  sim.AddNode("adder", [&](weft::SimulatedNode& node) {
    auto adder = std::make_shared<Adder>(world, node);
    started.Update(adder->Start());
    return adder;
  });
  sim.AddNode("caller", [&](weft::SimulatedNode& node) {
    auto program = std::make_shared<Caller>(world, node);
    caller = program.get();
    return program;
  });
  sim.RunFor(absl::Seconds(1));
  sim.network().PartitionOneWay("adder", "caller");  // replies stay on their way
  sim.RunFor(absl::Milliseconds(300));
  sim.network().Heal("adder", "caller");
  sim.RunFor(absl::Seconds(1));
  // World remembers what the killed node had executed: its own memory is gone.
  sim.Kill("adder", weft::Death::kReset);
  sim.RunFor(absl::Seconds(1));
  sim.Restart("adder");
  sim.RunFor(absl::Seconds(7));
  if (seed == 1) {
    std::printf("seed 1: %d calls OK, %d failed, after %s\n", caller->ok, caller->failed,
                absl::FormatDuration(sim.Now()).c_str());
  }
  sim.Kill("caller");  // its last call ends with it
  if (!started.ok()) return started;
  if (absl::Status s = world.history.CheckStatus(); !s.ok()) return s;
  // Differs as soon as one write, dial or choice of the run does.
  return sim.trace().hash();
}

int main() {
  const absl::Status checked =
      // A failing seed is printed with the command that runs it alone.
      weft::Simulation::ForSeeds(1, 50, [](uint64_t seed) { return Run(seed).status(); });
  std::printf("50 seeds: %s\n", checked.ToString().c_str());
  std::printf("seed 7 twice: %s\n", *Run(7) == *Run(7) ? "the same" : "not the same");
  std::printf("seeds 7 and 8: %s\n", *Run(7) == *Run(8) ? "the same" : "not the same");
  return checked.ok() ? 0 : 1;
}
