// The node as its pairs see it.
//
// Threads  as each function says
#ifndef WEFT_RPC_MESH_PAIR_HOST_H_
#define WEFT_RPC_MESH_PAIR_HOST_H_

#include <memory>

#include "absl/status/status.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/mesh/peer_info.h"
#include "weft/rpc/server/session_hooks.h"

namespace weft::internal {

class Pair;

class PairHost {
 public:
  // The pair has dialled this session. The session begins after this returns, so that the node can
  // find the pair for it. On its loop.
  virtual void OnDialled(const SessionRef& session,
                         const std::shared_ptr<Pair>& pair) WEFT_LOOP_ONLY = 0;
  // The peer's state has changed. Any thread, in order, under the pair's mutex: must not call the
  // pair.
  WEFT_ANY_THREAD virtual void OnPeerState(const PeerInfo& peer) = 0;
  // Another node answers at the peer's address. Any thread, without the mutex.
  WEFT_ANY_THREAD virtual void OnWrongNode(const Pair& pair, const absl::Status& why) = 0;
  // A peer knows another living process by this node's name. Any thread, without the mutex.
  WEFT_ANY_THREAD virtual void OnDuplicateName(const absl::Status& why) = 0;

 protected:
  ~PairHost() = default;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_PAIR_HOST_H_
