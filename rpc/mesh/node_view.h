// A node's view, with the number that this node gave it.
//
// Threads  value
#ifndef WEFT_RPC_MESH_NODE_VIEW_H_
#define WEFT_RPC_MESH_NODE_VIEW_H_

#include <cstdint>

#include "weft/rpc/mesh/view.h"

namespace weft {

struct NodeView {
  // Rises by one with each view that this node takes. 0: no view yet.
  uint64_t epoch = 0;
  View view;
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_NODE_VIEW_H_
