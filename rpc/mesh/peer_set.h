// A group of members, and the targets that call them, as a broadcast finds them at its start.
//
// A node gives the members of its view. Only makes a smaller group of them; a broadcast to that
// group counts its members and nobody else.
//
//   std::shared_ptr<const PeerSet> all = node.Snapshot();
//   const PeerSet shard = all->Only({"a", "c", "e"});
//   Broadcast(node, Kv::kPut, request, {.want = Want::Majority(), .to = &shard, …});
//
// Threads  value; never changes once it is shared
// Owns     a share of each target
#ifndef WEFT_RPC_MESH_PEER_SET_H_
#define WEFT_RPC_MESH_PEER_SET_H_

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "weft/core/event_loop.h"
#include "weft/rpc/call/call_target.h"

namespace weft {

struct PeerSet {
  struct Peer {
    std::string name;
    std::shared_ptr<CallTarget> target;
  };

  // The named members. Names without a member are left out.
  PeerSet Only(absl::Span<const std::string_view> names) const;
  PeerSet Only(std::initializer_list<std::string_view> names) const {
    return Only(absl::MakeConstSpan(names.begin(), names.size()));
  }
  // Number of members, including this node if it is one.
  int members() const { return static_cast<int>(others.size()) + (is_member ? 1 : 0); }

  std::vector<Peer> others = {};
  // This node: its name, its membership, and the target for its own handlers; null: it has none.
  std::string own_name = {};
  bool is_member = false;
  std::shared_ptr<CallTarget> self = nullptr;
  // The loop that runs the callbacks of a broadcast without calls, and whose blocks hold large
  // requests. Null: such callbacks run in the caller's call, and each request takes new memory.
  std::shared_ptr<internal::EventLoop> loop = nullptr;
};

// A source of members for broadcasts: a node.
class BroadcastTargets {
 public:
  virtual ~BroadcastTargets() = default;
  // The members as they are now. Any thread. Must be cheap: each broadcast calls it once.
  virtual std::shared_ptr<const PeerSet> Snapshot() const = 0;
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_PEER_SET_H_
