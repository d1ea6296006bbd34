#include "weft/rpc/mesh/peer_set.h"

#include <algorithm>

namespace weft {

PeerSet PeerSet::Only(absl::Span<const std::string_view> names) const {
  const auto named = [names](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  PeerSet some;
  for (const Peer& peer : others) {
    if (named(peer.name)) some.others.push_back(peer);
  }
  some.own_name = own_name;
  // The node itself counts for a quorum only where it was named.
  some.is_member = is_member && named(own_name);
  some.self = self;
  some.loop = loop;
  return some;
}

}  // namespace weft
