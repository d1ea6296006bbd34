// Another node as a Peer: joins a Pair, which has the links, with a CallStarter, which starts calls
// on them.
//
// Threads  any
// Owns     its CallStarter; shares the pair
// Ends     Close ends its calls. The object stays while its node exists or somebody holds it
#ifndef WEFT_RPC_MESH_REMOTE_PEER_H_
#define WEFT_RPC_MESH_REMOTE_PEER_H_

#include <functional>
#include <memory>
#include <string>

#include "weft/core/fork_guard.h"
#include "weft/core/loop_group.h"
#include "weft/rpc/client/call_starter.h"
#include "weft/rpc/client/start_config.h"
#include "weft/rpc/mesh/pair.h"
#include "weft/rpc/mesh/peer.h"

namespace weft::internal {

class RemotePeer final : public Peer {
 public:
  // `home`: the I/O thread where its calls wait for a link.
  static std::shared_ptr<RemotePeer> Create(std::shared_ptr<Pair> pair, IoThread& home,
                                            std::shared_ptr<const StartConfig> config);
  RemotePeer(std::shared_ptr<Pair> pair, IoThread& home, std::shared_ptr<const StartConfig> config);

  const std::shared_ptr<Pair>& pair() const { return pair_; }
  void Close(std::function<void()> done) { starter_.Close(std::move(done)); }

  // Peer
  void Start(OutboundCall& call) override;
  const std::string& name() const override { return pair_->name(); }
  PeerInfo Info() const override { return pair_->Info(); }

 private:
  const ForkGuard home_;
  const std::shared_ptr<Pair> pair_;
  CallStarter starter_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_REMOTE_PEER_H_
