// A member of the cluster, as the target of calls: `Kv::Stub stub(node.To("b"));`
//
// A call waits while there is no connection. A call without wait_for_ready fails after several
// failed attempts to connect. Calls survive a reconnect as a channel's calls do.
//
// Threads  any
// Errors   NOT_FOUND: there is no such member; UNAVAILABLE: it has left, or is down
// Ends     the node's end ends its calls; the object may be kept longer
#ifndef WEFT_RPC_MESH_PEER_H_
#define WEFT_RPC_MESH_PEER_H_

#include <string>

#include "weft/core/thread_contract.h"
#include "weft/rpc/call/call_target.h"
#include "weft/rpc/mesh/peer_info.h"

namespace weft {

class WEFT_ANY_THREAD Peer : public CallTarget {
 public:
  virtual const std::string& name() const = 0;
  virtual PeerInfo Info() const = 0;
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_PEER_H_
