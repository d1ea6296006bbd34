// Programs of a simulation that keep registers and call each other, and the storm that they are put
// through: calls at any time, while nodes and their network break.
//
// Threads  the simulation's
// Owns     World: the simulation and what survives its programs
#ifndef WEFT_TESTS_MESH_REGISTER_WORLD_H_
#define WEFT_TESTS_MESH_REGISTER_WORLD_H_

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/protos/register.weft.h"
#include "weft/rpc/call/call_target.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/history.h"
#include "weft/rpc/simulation.h"

namespace weft::test {

// The seeds of a storm: as many from 1 on as it usually has, or what the environment says in
// WEFT_SEEDS, "500" or "501-1000".
struct SeedRange {
  static SeedRange Of(int usual) {
    const char* const wanted = std::getenv("WEFT_SEEDS");
    return wanted != nullptr ? Parse(wanted) : SeedRange{1, usual};
  }
  // A text that cannot be read gives no seeds.
  static SeedRange Parse(const std::string& text) {
    const std::vector<std::string> ends = absl::StrSplit(text, '-');
    uint64_t first = 1, last = 0;
    if (!absl::SimpleAtoi(ends.back(), &last) || ends.size() > 2) return {1, 0};
    if (ends.size() == 2 && !absl::SimpleAtoi(ends.front(), &first)) return {1, 0};
    return {first, first <= last ? static_cast<int>(last - first + 1) : 0};
  }

  uint64_t first;
  int count;
};

// Faults of the programs, or of what they are made of, which a history has to find.
struct Plants {
  bool forgets = false;           // a node's death takes its disk with it
  bool resends = false;           // calls are said to be idempotent, which they are not
  bool counts_reachable = false;  // a majority is taken from the nodes that are up
  bool keeps_both = false;        // of two connections of a pair none is left
  bool loses_order = false;       // what has an order has only that of each connection
  bool hashes = false;            // what is sent is in the order of a map of hashes
};

// The state outside of the programs, which survives them.
struct World {
  // A register on one node's disk.
  struct Cell {
    int64_t version = 0;
    int64_t value = -1;
  };

  explicit World(uint64_t seed)
      : sim(SimulationOptions{.seed = seed, .log_level = LogLevel::kOff}) {}

  std::string AnyName() { return names[sim.Random(names.size())]; }
  History::Id Began(History::Operation operation) {
    ++open;
    return history.Began(std::move(operation));
  }
  void Ended(History::Id id, History::Outcome outcome,
             const std::optional<std::string>& found = std::nullopt) {
    history.Ended(id, outcome, found);
    --open;
    ++ended;
    answered += outcome == History::Outcome::kOk ? 1 : 0;
  }
  // Records the value of a key that a node has in the end; null: the node did not say.
  void FinallyRead(const std::string& node, const std::string& key, const int64_t* value) {
    std::optional<std::string> found;
    if (value != nullptr && *value >= 0) found = absl::StrCat(*value);
    history.FinallyRead(node, key, found);
  }

  History history;
  std::vector<std::string> names;                            // of the nodes
  std::map<std::string, std::map<std::string, Cell>> disks;  // by node and by key
  std::set<std::pair<std::string, std::string>> keys;        // written: node, "" for all, and key
  int open = 0;                                              // calls that have not ended
  int ended = 0;
  int answered = 0;     // of those, well
  absl::Status unread;  // why a value could not be read in the end
  Plants plants;
  Simulation sim;  // destroyed first
};

// Keeps registers on its disk, and calls the others.
class RegisterProgram : public Register::AsyncService {
 public:
  RegisterProgram(World& world, SimulatedNode& node) : world_(world), node_(node) {}

  void Write(ServerContext&, RegisterWrite& request, Responder<RegisterReply> responder) override {
    world_.history.Executed(static_cast<History::Id>(request.call()), node_.name());
    if (!request.key().empty()) {
      World::Cell& cell = world_.disks[node_.name()][request.key()];
      if (request.version() == 0 || request.version() > cell.version) {
        cell = {request.version(), request.value()};
      }
    }
    *responder.reply().mutable_notes() = std::move(*request.mutable_notes());
    responder.Finish();
  }
  void Read(ServerContext&, RegisterRead& request, Responder<RegisterReply> responder) override {
    world_.history.Executed(static_cast<History::Id>(request.call()), node_.name());
    const auto& disk = world_.disks[node_.name()];
    const auto it = disk.find(request.key());
    const World::Cell cell = it != disk.end() ? it->second : World::Cell();
    responder.reply().set_value(cell.value);
    responder.reply().set_version(cell.version);
    responder.Finish();
  }

  // Makes a call of any kind. No other call has this `number`.
  virtual void CallAnything(int number) {
    const std::string to = world_.AnyName();
    const uint64_t kind = world_.sim.Random(5);
    if (kind == 0) {
      CallAll();
    } else {
      CallOne(to, kind < 3, number);
    }
  }
  // Tells the history, when all is healed, which values this node has.
  virtual void ReadFinally() {
    for (const auto& [node, key] : world_.keys) {
      if (node != node_.name()) continue;
      const auto& disk = world_.disks[node];
      const auto it = disk.find(key);
      world_.FinallyRead(node, key, it != disk.end() ? &it->second.value : nullptr);
    }
  }

 protected:
  // Returns the target for calls to a node. The target lives as long as this program.
  virtual CallTarget& TargetOf(const std::string& name) = 0;
  World& world() { return world_; }
  SimulatedNode& node() { return node_; }

  // Writes or reads one of the registers that a single node has.
  void CallOne(const std::string& to, bool writes, int64_t value) {
    const std::string key = absl::StrCat(to, "/", world_.sim.Random(3));
    if (writes) {
      world_.keys.insert({to, key});
      CallWrite(to, key, value);
    } else {
      CallRead(to, key);
    }
  }
  RegisterWrite WriteOf(const std::string& key, int64_t value, History::Id id) {
    RegisterWrite request;
    request.set_key(key);
    request.set_value(value);
    request.set_call(static_cast<int64_t>(id));
    for (int n = 0; n < 8; ++n) (*request.mutable_notes())[absl::StrCat("note", n)] = "x";
    return request;
  }
  absl::Duration Timeout() {
    return absl::Milliseconds(static_cast<int64_t>(20 + node_.Random(2000)));
  }

 private:
  void CallWrite(const std::string& to, const std::string& key, int64_t value) {
    const History::Id id = world_.Began({.kind = History::Kind::kWrite,
                                         .key = key,
                                         .value = absl::StrCat(value),
                                         .sent = History::Sent::kOnce});
    SendWrite(to, key, value, id,
              [&world = world_, id](History::Outcome outcome) { world.Ended(id, outcome); });
  }
  void CallRead(const std::string& to, const std::string& key) {
    const History::Id id = world_.Began({.kind = History::Kind::kRead, .key = key});
    RegisterRead request;
    request.set_key(key);
    request.set_call(static_cast<int64_t>(id));
    auto context = std::make_shared<ClientContext>();
    Register::Stub(TargetOf(to))
        .ReadAsync(request, {.timeout = Timeout(), .context = context.get()},
                   [&world = world_, id, context](absl::StatusOr<RegisterReply> reply) {
                     std::optional<std::string> found;
                     if (reply.ok() && reply->value() >= 0) found = absl::StrCat(reply->value());
                     world.Ended(
                         id, History::OutcomeOf(reply.status(), context->may_have_been_executed()),
                         found);
                   });
  }
  // Makes the same call to all nodes, one by one. It is over when all have answered or failed.
  void CallAll() {
    const History::Id id = world_.Began(
        {.kind = History::Kind::kBroadcast, .needed = static_cast<int>(world_.names.size())});
    auto left = std::make_shared<size_t>(world_.names.size());
    auto together = std::make_shared<History::Outcome>(History::Outcome::kOk);
    for (const std::string& to : world_.names) {
      SendWrite(to, "", 0, id, [&world = world_, id, to, left, together](History::Outcome outcome) {
        world.history.EndedAt(id, to, outcome);
        if (outcome != History::Outcome::kOk) *together = History::Outcome::kUnknown;
        if (--*left == 0) world.Ended(id, *together);
      });
    }
  }
  void SendWrite(const std::string& to, const std::string& key, int64_t value, History::Id id,
                 std::function<void(History::Outcome)> ended) {
    auto context = std::make_shared<ClientContext>();
    Register::Stub(TargetOf(to))
        .WriteAsync(
            WriteOf(key, value, id),
            {.timeout = Timeout(), .context = context.get(), .idempotent = world_.plants.resends},
            [context, ended = std::move(ended)](absl::StatusOr<RegisterReply> reply) {
              ended(History::OutcomeOf(reply.status(), context->may_have_been_executed()));
            });
  }

  World& world_;
  SimulatedNode& node_;
};

// One run: a storm of calls and breaks, then everything is healed, and the history is checked.
template <typename Program>
class RegisterRun {
 public:
  struct Storm {
    int calls;
    int breaks;
    absl::Duration lasts;
  };

  RegisterRun(uint64_t seed, const Storm& storm) : world(seed), storm_(storm) {}

  // Adds a node for each of `names`, which are the world's from then on.
  void AddNodes(std::vector<std::string> names) {
    world.names = std::move(names);
    for (const std::string& name : world.names) {
      world.sim.AddNode(name, [this](SimulatedNode& node) {
        auto program = std::make_shared<Program>(world, node);
        programs_[node.name()] = program;
        return program;
      });
    }
  }

  absl::Status Go() {
    Simulation& sim = world.sim;
    for (int i = 0; i < storm_.calls; ++i) sim.After(AnyTime(), [this, i] { Call(i); });
    for (int i = 0; i < storm_.breaks; ++i) sim.After(AnyTime(), [this] { Break(); });
    sim.RunFor(storm_.lasts);
    sim.network().HealAll();
    for (const std::string& name : world.names) {
      if (sim.node(name).state() == SimulatedNode::State::kPaused) sim.Resume(name);
      if (sim.node(name).state() == SimulatedNode::State::kDown) sim.Restart(name);
    }
    sim.RunUntil([this] { return world.open == 0; }, absl::Seconds(60));
    // A call that was not executed must not be executed later, so time passes until pauses are over
    // and connections that were left have carried everything.
    sim.RunFor(absl::Seconds(60));
    for (const std::string& name : world.names) program(name)->ReadFinally();
    sim.RunUntil([this] { return world.open == 0; }, absl::Seconds(60));
    if (!world.unread.ok()) return world.unread;
    return world.history.CheckStatus();
  }

  // Null if the node is down.
  std::shared_ptr<Program> program(const std::string& name) { return programs_[name].lock(); }

  World world;

 private:
  absl::Duration AnyTime() {
    const auto most = static_cast<uint64_t>(absl::ToInt64Microseconds(storm_.lasts));
    return absl::Microseconds(static_cast<int64_t>(world.sim.Random(most)));
  }

  void Call(int number) {
    const std::shared_ptr<Program> caller = program(world.AnyName());
    if (caller != nullptr) caller->CallAnything(number);
  }

  void Break() {
    Simulation& sim = world.sim;
    SimulatedNetwork& network = sim.network();
    const std::string a = world.AnyName(), b = world.AnyName();
    const absl::Duration later = absl::Milliseconds(static_cast<int64_t>(sim.Random(3000)));
    switch (sim.Random(9)) {
      case 0:
        network.Partition(a, b);
        sim.After(later, [&network, a, b] { network.Heal(a, b); });
        return;
      case 1:
        network.PartitionOneWay(a, b);
        sim.After(later, [&network, a, b] { network.Heal(a, b); });
        return;
      case 2:
        network.Cut(a, b);
        return;
      case 3:
        network.CutHeardBy(a, b);
        return;
      case 4:
        network.CutAll();
        return;
      case 5:
        network.SetLink(a, b, {.max_delay = absl::Milliseconds(50), .bytes_per_second = 100'000});
        return;
      case 6:
        sim.Pause(a);
        sim.After(later, [&sim, a] {
          if (sim.node(a).state() == SimulatedNode::State::kPaused) sim.Resume(a);
        });
        return;
      default:
        sim.Kill(a, sim.Random(2) == 0 ? Death::kReset : Death::kSilence);
        if (world.plants.forgets) world.disks[a].clear();
        sim.After(later, [&sim, a] {
          if (sim.node(a).state() == SimulatedNode::State::kDown) sim.Restart(a);
        });
        return;
    }
  }

  const Storm storm_;
  std::map<std::string, std::weak_ptr<Program>> programs_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_MESH_REGISTER_WORLD_H_
