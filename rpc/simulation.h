// Many programs of weft in one process, on one thread: virtual time, an order of events that a seed
// decides, and a network that breaks when it is told to.
//
//   weft::Simulation sim({.seed = 7});
//   for (const char* name : {"a", "b", "c"}) {
//     sim.AddNode(name, [](weft::SimulatedNode& node) { return MakeMyProgram(node); });
//   }
//   sim.RunFor(absl::Seconds(1));
//   sim.network().Partition("a", "b");
//   sim.Kill("c", weft::Death::kReset);
//   if (!sim.RunUntil([&] { return done; }, absl::Minutes(1))) …
//
// A program makes servers, channels and nodes over its node's runtime() and network(), and listens
// on "inproc:<name>". Their code runs as it is. A step is a turn of one loop, or one item of a
// worker pool; which of those that are ready is next the seed says. Where nothing is ready the time
// jumps to the next timer. So the same seed gives the same run, and the same trace, in every
// process, as long as the programs keep to docs/simulation.md: the time and chance that are offered
// here, no threads, no order of a hash map.
//
// Nothing waits inside a simulation, nor on its thread while it lives: calls in the blocking style
// and the like end with FAILED_PRECONDITION; Server::Stop and destructors return at once, and what
// they have begun goes on while the simulation runs. Inside Kill, which destroys a program, they
// return when calls have ended and handlers have left, as on any thread.
//
// Threads  one: the one that made it
// Owns     its nodes and their programs
// Errors   what is refused is not done, and an error in the log says so: to run or to step inside a
//          step, a Kill or the start of a program; to kill or restart a node in its own step, or
//          while it is killed or started; a node that is not there; a second one of a name, for
//          which AddNode gives the first. node() of one that is not there gives one that is down,
//          and has no runtime
// Ends     the destructor kills every node; the test first drops whatever it holds of theirs
#ifndef WEFT_RPC_SIMULATION_H_
#define WEFT_RPC_SIMULATION_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/core/event_loop.h"
#include "weft/core/log.h"
#include "weft/core/step_set.h"
#include "weft/core/timer.h"
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/mesh/simulated_clock.h"
#include "weft/rpc/mesh/simulated_network.h"
#include "weft/rpc/mesh/simulated_node.h"
#include "weft/rpc/mesh/simulation_trace.h"

namespace weft {

struct SimulationOptions {
  // Decides the order of events, delays, and all that is drawn.
  uint64_t seed = 1;
  // How bytes travel between nodes of which nothing else is said.
  LinkQuality link = {};
  // Bytes that wait in each direction of a connection, as in a socket's buffers.
  size_t buffer_bytes = size_t{256} << 10;
  // I/O threads of each node, as its programs see them.
  int io_threads = 1;
  // Lines of the trace that are kept: the last ones. Its hash is of all.
  size_t max_trace_lines = 100'000;
  // The log of the nodes' runtimes; null: standard error.
  LogLevel log_level = LogLevel::kError;
  std::shared_ptr<LogSink> log_sink = nullptr;
};

class Simulation {
 public:
  explicit Simulation(SimulationOptions options = {});
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // ---- nodes
  // Starts `program` on a node of that name, now.
  SimulatedNode& AddNode(std::string name, SimulatedNode::Program program);
  SimulatedNode& node(std::string_view name);
  // Runs no step of the node until Resume. Its connections stay, and bytes that come on them wait.
  void Pause(std::string_view name);
  void Resume(std::string_view name);
  // Destroys the node's program without goodbyes.
  void Kill(std::string_view name, Death death = Death::kReset);
  // Starts the node's program anew, without anything that it knew. Kills it first if it lives.
  void Restart(std::string_view name);

  SimulatedNetwork& network() { return network_; }

  // ---- time
  // The time since the simulation's beginning.
  absl::Duration Now() const { return ToAbsl(time_ - kStart); }
  // Draws a number for the test itself; nodes have their own (SimulatedNode::Random).
  uint64_t Random() { return outside_->random().Next(); }
  // Draws a number from 0 to below `n`, which must be above 0.
  uint64_t Random(uint64_t n) { return Random() % n; }
  // Runs `f` in so much time, as an event among the others; it may call everything here but Run…
  // and Step.
  void After(absl::Duration d, std::function<void()> f);

  // Runs everything that happens in so much time.
  void RunFor(absl::Duration d);
  // Runs until `done` says true, which is asked after each step. False: `limit` came first, or it
  // was refused.
  bool RunUntil(const std::function<bool()>& done, absl::Duration limit);
  // Runs one step, or jumps to the next timer. False: nothing will ever happen again, or it was
  // refused.
  bool Step();

  // ---- what happened
  uint64_t seed() const { return options_.seed; }
  SimulationTrace& trace() { return trace_; }
  // Steps so far.
  uint64_t steps() const { return steps_; }

  // Calls `run` with seeds, `first` and those behind it, until one fails: that status, with the
  // seed, and a command that runs this one alone. Where the environment has WEFT_SEED only that
  // seed is run.
  static absl::Status ForSeeds(uint64_t first, int count,
                               const std::function<absl::Status(uint64_t seed)>& run);

 private:
  // An hour after boot: programs may look back, too.
  static constexpr MonoTime kStart{std::chrono::hours(1)};

  // The set of a piece that is ready, and the number of its node; 0: the test's own.
  struct Place {
    internal::StepSet* set;
    uint64_t of;
  };
  // The choices of one step. Kept for the next step, to save allocations.
  struct Choice {
    std::vector<internal::Steppable*> pieces;
    std::vector<Place> places;  // of each piece
    uint64_t random;            // state of the generator that chooses
    // The nodes whose code is on the stack: being stepped, started or killed. The innermost is the
    // last.
    std::vector<uint64_t> within = {};
  };
  class Within;

  // True if `what` is refused; then it is also logged.
  bool RefusesToRun(const char* what);
  // Returns the number of the node that `what` is to be done to. 0: it is refused.
  uint64_t NumberFor(const char* what, std::string_view name, bool restarts);
  uint64_t NumberOf(std::string_view name) const;  // 0: there is none
  void Complain(const std::string& about);
  // Runs one step if anything is ready now. False: nothing is.
  bool StepReady();
  // Returns the time of the next timer; kNever: there is none.
  MonoTime NextTimer() const;

  const SimulationOptions options_;
  const internal::MessageCodec::Deterministic deterministic_;
  MonoTime time_ = kStart;
  internal::SimulatedClock clock_;
  SimulationTrace trace_;
  // The test's own code runs on this loop's thread.
  const std::unique_ptr<internal::EventLoop> outside_;
  internal::StepSet outside_steps_;
  std::unique_ptr<internal::EventLoop::Entered> entered_;
  std::map<uint64_t, std::unique_ptr<internal::Timer>> timers_;  // of the outside loop
  uint64_t last_timer_ = 0;
  SimulatedNetwork network_;
  std::vector<std::unique_ptr<SimulatedNode>> nodes_;
  std::unique_ptr<SimulatedNode> nobody_;  // returned for a name that no node has
  Choice choice_;
  uint64_t steps_ = 0;
};

}  // namespace weft

#endif  // WEFT_RPC_SIMULATION_H_
