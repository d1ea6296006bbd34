// The peer for a name that no member has: its calls end with NOT_FOUND.
//
// Threads  any
// Owns     what starts its calls, and ends them
#ifndef WEFT_RPC_MESH_UNKNOWN_PEER_H_
#define WEFT_RPC_MESH_UNKNOWN_PEER_H_

#include <memory>
#include <string>
#include <utility>

#include "weft/core/loop_group.h"
#include "weft/rpc/client/call_starter.h"
#include "weft/rpc/client/start_config.h"
#include "weft/rpc/mesh/peer.h"
#include "weft/rpc/mesh/peer_links.h"

namespace weft::internal {

class UnknownPeer final : public Peer {
 public:
  // `home`: the I/O thread where its calls end. `why`: their Status.
  static std::shared_ptr<UnknownPeer> Create(std::string name, IoThread& home,
                                             std::shared_ptr<const StartConfig> config,
                                             const absl::Status& why) {
    auto peer = std::make_shared<UnknownPeer>(std::move(name), home, std::move(config), why);
    peer->starter_.SetKeeper(peer);
    return peer;
  }
  UnknownPeer(std::string name, IoThread& home, std::shared_ptr<const StartConfig> config,
              const absl::Status& why)
      : name_(std::move(name)),
        links_(1, [] {}),
        starter_(std::shared_ptr<LinkSource>(std::shared_ptr<void>(), &links_), home,
                 std::move(config), name_) {
    links_.SetOver(why);
  }

  void Start(OutboundCall& call) override { starter_.Start(call); }
  const std::string& name() const override { return name_; }
  PeerInfo Info() const override {
    PeerInfo info;
    info.name = name_;
    info.state = PeerState::kLeft;
    return info;
  }

 private:
  const std::string name_;
  PeerLinks links_;
  CallStarter starter_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_UNKNOWN_PEER_H_
