// The node as SessionDesk sees it: who is a member, and where events go.
//
// Threads  any
#ifndef WEFT_RPC_MESH_PEER_DIRECTORY_H_
#define WEFT_RPC_MESH_PEER_DIRECTORY_H_

#include <memory>
#include <string>
#include <string_view>

#include "weft/core/thread_contract.h"
#include "weft/rpc/call/call_target.h"
#include "weft/rpc/mesh/node_event.h"
#include "weft/rpc/mesh/pair.h"

namespace weft::internal {

class WEFT_ANY_THREAD PeerDirectory {
 public:
  // Null: the name was never a member's.
  virtual std::shared_ptr<Pair> FindPair(std::string_view name) = 0;
  // Null: the name was never a member's.
  virtual std::shared_ptr<CallTarget> FindTarget(std::string_view name) = 0;
  virtual void Tell(NodeEvent event) = 0;
  // Asks the membership for a newer view: a peer is not in the view, or not at its address.
  virtual void AskMembership() = 0;

 protected:
  ~PeerDirectory() = default;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_PEER_DIRECTORY_H_
