// The identity and name of a connection's peer, after its Hello and verdict. Most peers have
// neither, so each is allocated only if it exists.
//
// Threads  value; constant once a call can be served
#ifndef WEFT_RPC_PROTOCOL_NATIVE_KNOWN_PEER_H_
#define WEFT_RPC_PROTOCOL_NATIVE_KNOWN_PEER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "weft/rpc/call/connected_peer.h"

namespace weft::internal::native {

class KnownPeer {
 public:
  void Set(ConnectedPeer peer) {
    wire_version_ = peer.wire_version;
    if (!peer.identity.empty()) identity_ = std::make_unique<const std::string>(peer.identity);
    if (peer.node.empty() && peer.cluster.empty() && peer.incarnation == 0) return;
    named_ = std::make_unique<const Named>(
        Named{std::move(peer.node), std::move(peer.cluster), peer.incarnation});
  }

  const std::string& identity() const {
    // Never destroyed, so that the reference holds as long as any thread runs.
    static const auto* const none = new std::string;
    return identity_ != nullptr ? *identity_ : *none;
  }
  // `address`: the connection's.
  ConnectedPeer whole(const std::string& address) const {
    ConnectedPeer peer;
    peer.address = address;
    peer.identity = identity();
    if (named_ != nullptr) {
      peer.node = named_->node;
      peer.cluster = named_->cluster;
      peer.incarnation = named_->incarnation;
    }
    peer.protocol = "native";
    peer.wire_version = wire_version_;
    return peer;
  }

 private:
  // The peer's own statements.
  struct Named {
    std::string node;
    std::string cluster;
    uint64_t incarnation;
  };

  // Null: none.
  std::unique_ptr<const std::string> identity_;
  std::unique_ptr<const Named> named_;
  uint32_t wire_version_ = 0;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_KNOWN_PEER_H_
