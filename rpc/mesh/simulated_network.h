// The network between a simulation's nodes, with delays and faults set for each pair of names.
//
//   network.SetLink("a", "b", {.delay = absl::Milliseconds(20)});
//   network.PartitionOneWay("a", "b");        // holds back everything that a sends to b
//   network.Heal("a", "b");                   // lets it arrive
//   network.CutHeardBy("a", "b");             // resets a's ends; b hears nothing
//
// A pair's settings hold for existing and future connections, whichever side dialled. Across a
// partition, even of one direction, no dial is answered. Bytes sent on existing connections are
// held until the healing, as TCP would send them again.
//
// Threads  one: the simulation's
// Owns     the in-process network; refers to the trace
#ifndef WEFT_RPC_MESH_SIMULATED_NETWORK_H_
#define WEFT_RPC_MESH_SIMULATED_NETWORK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weft/core/in_process_network.h"
#include "weft/rpc/mesh/link_quality.h"
#include "weft/rpc/mesh/simulation_trace.h"

namespace weft {

// The other nodes' view of a dead node.
enum class Death : uint8_t {
  kReset,    // its connections are reset, and dials refused: the process died
  kSilence,  // nothing comes from it, and nobody answers: the machine died
};

class SimulatedNetwork {
 public:
  // `link`: for pairs without a setting of their own. `trace` outlives the network.
  SimulatedNetwork(uint64_t seed, const LinkQuality& link, size_t buffer_bytes,
                   SimulationTrace& trace);
  ~SimulatedNetwork();
  SimulatedNetwork(const SimulatedNetwork&) = delete;
  SimulatedNetwork& operator=(const SimulatedNetwork&) = delete;

  // ---- how bytes travel: in both directions; from the first to the second
  void SetLink(std::string_view a, std::string_view b, const LinkQuality& link);
  void SetLinkOneWay(std::string_view from, std::string_view to, const LinkQuality& link);

  // ---- what does not get through
  void Partition(std::string_view a, std::string_view b);
  void PartitionOneWay(std::string_view from, std::string_view to);
  // Partitions a host from all others.
  void Isolate(std::string_view name);
  void Heal(std::string_view a, std::string_view b);
  void HealAll();
  bool partitioned(std::string_view from, std::string_view to) const;

  // ---- connections; the functions return how many they reset
  // Resets the connections between the two, at both ends.
  size_t Cut(std::string_view a, std::string_view b);
  // Resets all connections.
  size_t CutAll();
  // Resets the ends of `hears`; the other ends hear nothing, and what they write vanishes.
  size_t CutHeardBy(std::string_view hears, std::string_view other);
  // Open connections, oldest first.
  std::vector<InProcessRoute> connections() const;
  std::vector<InProcessRoute> Between(std::string_view a, std::string_view b) const;
  // Number of connections ever dialled.
  uint64_t dialled() const { return network_->dialled(); }

  // ---- by the simulation
  // Adds the host and returns its view of the network.
  std::shared_ptr<InProcessNetwork> AddHost(std::string_view name);
  // Removes the host: its connections end as `death` says, and it can dial nobody.
  void RemoveHost(std::string_view name, Death death);

 private:
  class Wires;
  void Apply(std::string_view a, std::string_view b);
  void SetPartitioned(std::string_view from, std::string_view to, bool partitioned);

  SimulationTrace& trace_;
  const std::shared_ptr<Wires> wires_;
  const std::shared_ptr<InProcessNetwork> network_;
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_SIMULATED_NETWORK_H_
