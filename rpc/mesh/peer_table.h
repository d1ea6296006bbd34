// A node's peers by name. A peer stays after it has left the view, since callers may hold it.
//
// Threads  any
// Owns     a share of each peer
// Ends     Retire, when the node begins to stop; Close, after the sessions have ended, ends the
//          calls
#ifndef WEFT_RPC_MESH_PEER_TABLE_H_
#define WEFT_RPC_MESH_PEER_TABLE_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/client/start_config.h"
#include "weft/rpc/mesh/pair.h"
#include "weft/rpc/mesh/peer.h"
#include "weft/rpc/mesh/remote_peer.h"
#include "weft/rpc/mesh/view.h"

namespace weft::internal {

class WEFT_ANY_THREAD PeerTable {
 public:
  // `seed`: for the pairs' random pauses. `config`: for the calls of all peers.
  PeerTable(Pair::Around around, std::shared_ptr<const StartConfig> config, uint64_t seed);

  // Makes peers join, move and leave until the members are those of `view`, without this node
  // itself. One call at a time, in the order of the views.
  void Apply(const View& view) WEFT_EXCLUDES(mu_);
  // Null: the name was never a member's.
  std::shared_ptr<RemotePeer> Find(std::string_view name) const WEFT_EXCLUDES(mu_);
  // All peers, ordered by name.
  std::vector<std::shared_ptr<RemotePeer>> All() const WEFT_EXCLUDES(mu_);
  // Ignores later views and stops dialling.
  void Retire() WEFT_EXCLUDES(mu_);
  // `done` runs once, on any thread, when all their calls have ended.
  void Close(std::function<void()> done) WEFT_EXCLUDES(mu_);

 private:
  std::shared_ptr<RemotePeer> FindOrMake(const std::string& name) WEFT_EXCLUDES(mu_);

  const Pair::Around around_;
  const std::shared_ptr<const StartConfig> config_;
  mutable Mutex mu_;
  std::map<std::string, std::shared_ptr<RemotePeer>, std::less<>> peers_ WEFT_GUARDED_BY(mu_);
  View view_ WEFT_GUARDED_BY(mu_);
  bool retired_ WEFT_GUARDED_BY(mu_) = false;
  uint64_t random_ WEFT_GUARDED_BY(mu_);
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_PEER_TABLE_H_
