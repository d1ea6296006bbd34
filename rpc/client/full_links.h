// The links of a source that have no room, as they are learned by trying calls on them.
//
// Threads  value
// Owns     a share of the links that were found full
#ifndef WEFT_RPC_CLIENT_FULL_LINKS_H_
#define WEFT_RPC_CLIENT_FULL_LINKS_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "weft/rpc/client/link_source.h"

namespace weft::internal {

struct FullLinks {
  bool Contains(uint64_t number) const {
    return std::find(known.begin(), known.end(), number) != known.end();
  }
  void Add(const PickedLink& link) {
    known.push_back(link.number);
    found.push_back(link);
  }

  // The numbers of all full links: none of these is tried.
  std::vector<uint64_t> known;
  // The ones that were found full since the last time; valid as long as PickedLink says.
  std::vector<PickedLink> found;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_FULL_LINKS_H_
