// One program of a simulation, with the runtime, network, clock and random numbers that it is to
// use. The simulation makes it and drives it; Start and Kill may repeat.
//
//   kDown ──Start──► kUp ◄──SetPaused──► kPaused
//   kUp, kPaused ──Kill──► kDown
//
// Killing destroys the object that the program function returned. Its servers and channels end as
// always, calls and handlers included, on a clock that runs ahead for them alone. Nothing of this
// reaches other nodes, because the node's connections are cut first.
//
// Threads  one: the simulation's
// Owns     its runtime while it is up, and what its program returned
// Errors   a runtime still held by somebody after its program's death is logged; it stays until
//          they let go of it, and never runs again
// Ends     lives as long as the simulation
#ifndef WEFT_RPC_MESH_SIMULATED_NODE_H_
#define WEFT_RPC_MESH_SIMULATED_NODE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "weft/core/runtime.h"
#include "weft/core/timer.h"
#include "weft/rpc/mesh/simulated_clock.h"
#include "weft/rpc/mesh/simulated_network.h"

namespace weft {

class SimulatedNode {
 public:
  // Makes a program's servers and channels and returns an object that holds them all. They are
  // destroyed with it, before the rest of the node.
  using Program = std::function<std::shared_ptr<void>(SimulatedNode& node)>;
  enum class State : uint8_t { kDown, kUp, kPaused };
  static constexpr bool MayGo(State from, State to) { return from != to; }

  SimulatedNode(std::string name, Program program, RuntimeOptions runtime,
                SimulatedNetwork& network, const MonoTime& time, MonoTime start);
  ~SimulatedNode();
  SimulatedNode(const SimulatedNode&) = delete;
  SimulatedNode& operator=(const SimulatedNode&) = delete;

  // ---- for its program
  const std::string& name() const { return name_; }
  // "inproc:<name>", where others look for it.
  std::string address() const { return absl::StrCat("inproc:", name_); }
  // For ServerOptions, ChannelOptions, NodeOptions.
  const std::shared_ptr<Runtime>& runtime() const { return runtime_; }
  const std::shared_ptr<InProcessNetwork>& network() const { return network_; }
  // 1 for the program's first start, one more for each later start.
  uint64_t incarnation() const { return incarnation_; }
  // Time since the simulation's beginning.
  absl::Duration Now() const { return ToAbsl(clock_.Now() - start_); }
  // A random number for the program; another series in each incarnation.
  uint64_t Random() { return runtime_->random()->Next(); }
  // A random number from 0 to `n` - 1; `n` must be more than 0.
  uint64_t Random(uint64_t n) { return Random() % n; }
  // Runs `f` after `d` on the first loop, unless the program dies before.
  void After(absl::Duration d, std::function<void()> f);

  // ---- by the simulation
  State state() const { return state_; }
  void Start();
  void SetPaused(bool paused);
  void Kill(Death death);
  // The loops and threads of the node that the simulation steps.
  internal::StepSet& steps() { return *steps_; }

 private:
  void FinishQuietly();

  const std::string name_;
  const Program program_;
  // Without the clock, the seed and the steps, which each Start sets.
  const RuntimeOptions options_;
  SimulatedNetwork& wires_;
  const MonoTime start_;
  internal::SimulatedClock clock_;
  State state_ = State::kDown;
  uint64_t incarnation_ = 0;
  std::shared_ptr<internal::StepSet> steps_ = std::make_shared<internal::StepSet>();
  std::shared_ptr<Runtime> runtime_;
  std::shared_ptr<InProcessNetwork> network_;
  std::shared_ptr<void> running_;  // the object that the program returned
  std::map<uint64_t, std::unique_ptr<internal::Timer>> timers_;
  uint64_t last_timer_ = 0;
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_SIMULATED_NODE_H_
