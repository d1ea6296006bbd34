// Settings common to all pairs of one node.
//
// Threads  constant while there are pairs, but for `members`: any
#ifndef WEFT_RPC_MESH_PAIR_SETTINGS_H_
#define WEFT_RPC_MESH_PAIR_SETTINGS_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "weft/core/clock.h"
#include "weft/core/log.h"

namespace weft::internal {

struct PairSettings {
  // This node's part of a Hello.
  std::string node;
  std::string cluster;
  uint64_t incarnation = 0;
  std::string token;
  // Token of the node's connection to itself, in place of `token`. Nobody else can know it.
  std::string own_token;
  // Connections wanted to each peer.
  size_t slots = 1;
  // Where it tells of peers that are lost, and back.
  Log log;

  // Pause between failed dials: a random share of `backoff`, which grows by the factor with each
  // failure.
  Nanos backoff = std::chrono::milliseconds(50);
  double backoff_factor = 1.6;
  Nanos max_backoff = std::chrono::seconds(10);
  // A connection that lasted this long was good: earlier failures are forgotten.
  Nanos lasting = std::chrono::seconds(5);
  // Extra delay before the node with the larger name dials, give or take half of it. The smaller
  // name normally connects within it, and no second connection is made.
  Nanos yield = std::chrono::milliseconds(100);
  // After a loss each node draws a pause below `spread` times the number of members, at most
  // `max_spread`, so that nodes do not all dial at once.
  Nanos spread = std::chrono::milliseconds(2);
  Nanos max_spread = std::chrono::seconds(1);
  // How long calls may go on on a connection that lost the tie.
  Nanos grace = std::chrono::seconds(30);
  // Number of members in the present view.
  std::atomic<size_t> members{1};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_PAIR_SETTINGS_H_
