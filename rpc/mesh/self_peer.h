// The node as a peer of itself. Its calls pass the server's dispatcher like all others, over an
// in-memory connection.
//
// Threads  any
// Owns     a share of the channel to its own server
#ifndef WEFT_RPC_MESH_SELF_PEER_H_
#define WEFT_RPC_MESH_SELF_PEER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/optimization.h"
#include "weft/core/fork_guard.h"
#include "weft/rpc/client/forked_call.h"
#include "weft/rpc/mesh/peer.h"

namespace weft::internal {

class SelfPeer final : public Peer {
 public:
  // `target`: the channel to its own server.
  SelfPeer(std::string name, std::string address, uint64_t incarnation,
           std::shared_ptr<CallTarget> target)
      : name_(std::move(name)),
        address_(std::move(address)),
        incarnation_(incarnation),
        target_(std::move(target)) {}

  void Start(OutboundCall& call) override {
    if (ABSL_PREDICT_TRUE(!home_.InForkedChild())) {
      target_->Start(call);
    } else {
      ForkedCall::Refuse(call);
    }
  }
  const std::string& name() const override { return name_; }
  PeerInfo Info() const override {
    PeerInfo info;
    info.name = name_;
    info.address = address_;
    info.state = PeerState::kUp;
    info.incarnation = incarnation_;
    return info;
  }

 private:
  const ForkGuard home_;
  const std::string name_;
  const std::string address_;
  const uint64_t incarnation_;
  const std::shared_ptr<CallTarget> target_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_SELF_PEER_H_
