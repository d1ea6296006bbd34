// The other nodes as this node's events show them, and the leader by that: the smallest name that
// is not down.
//
// A leader that is cut off steps down first: as soon as it suspects so many nodes that no majority
// is left. The others suspect it by then, too, but have another leader only once they call it down,
// a heartbeat later.
//
// Threads  any
#ifndef WEFT_EXAMPLES_KV_UP_PEERS_H_
#define WEFT_EXAMPLES_KV_UP_PEERS_H_

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "weft/rpc/mesh/node_event.h"

namespace weft::examples::kv {

class UpPeers {
 public:
  // `members`: size of the cluster, including this node.
  UpPeers(std::string self, int members)
      : self_(std::move(self)), majority_(static_cast<size_t>(members) / 2 + 1) {}

  void OnEvent(const NodeEvent& event) {
    if (event.kind != NodeEvent::Kind::kPeer) return;
    const std::lock_guard lock(mu_);
    if (event.state == PeerState::kUp) {
      up_.insert(event.peer);
    } else {
      up_.erase(event.peer);
    }
    if (event.state == PeerState::kSuspect) {
      suspects_.insert(event.peer);
    } else {
      suspects_.erase(event.peer);
    }
  }
  // Empty: this node would lead, but reaches no majority. Nodes may see different leaders for a
  // while; only the number of rounds depends on it.
  std::string Leader() const {
    const std::lock_guard lock(mu_);
    const std::string* leader = &self_;
    for (const std::set<std::string>* names : {&up_, &suspects_}) {
      if (!names->empty()) leader = &std::min(*leader, *names->begin());
    }
    return leader == &self_ && up_.size() + 1 < majority_ ? "" : *leader;
  }
  std::set<std::string> names() const {
    const std::lock_guard lock(mu_);
    return up_;
  }

 private:
  const std::string self_;
  const size_t majority_;
  mutable std::mutex mu_;
  std::set<std::string> up_, suspects_;
};

}  // namespace weft::examples::kv

#endif  // WEFT_EXAMPLES_KV_UP_PEERS_H_
