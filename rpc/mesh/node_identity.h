// The right of a node to its name, as a program decides it: NodeOptions::identity.
//
// Threads  called on I/O threads, several at once: it must not block
#ifndef WEFT_RPC_MESH_NODE_IDENTITY_H_
#define WEFT_RPC_MESH_NODE_IDENTITY_H_

#include <functional>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/requirements.h"

namespace weft {

// Decides if a node may have this name. `identity`: the authenticator's verdict, empty without an
// authenticator. An error refuses the node.
using NodeIdentity = std::function<absl::Status(std::string_view node, std::string_view identity,
                                                std::string_view address)>;

}  // namespace weft

#endif  // WEFT_RPC_MESH_NODE_IDENTITY_H_
