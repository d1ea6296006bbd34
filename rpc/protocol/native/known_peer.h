// Who the peer of one connection is, once its Hello and the verdict on it are known. Most peers say
// no name, and take no memory for one.
//
// Threads  value; constant once a call can be served
#ifndef WEFT_RPC_PROTOCOL_NATIVE_KNOWN_PEER_H_
#define WEFT_RPC_PROTOCOL_NATIVE_KNOWN_PEER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "weft/rpc/call/connected_peer.h"

namespace weft::native {

class KnownPeer {
 public:
  // `address` outlives this.
  explicit KnownPeer(const std::string& address) : address_(address) {}

  void Set(ConnectedPeer peer) {
    identity_ = peer.identity;
    wire_version_ = peer.wire_version;
    if (peer.node.empty() && peer.cluster.empty() && peer.incarnation == 0) return;
    named_ = std::make_unique<const ConnectedPeer>(std::move(peer));
  }

  const std::string& identity() const { return identity_; }
  ConnectedPeer whole() const {
    if (named_ != nullptr) return *named_;
    return {.address = address_,
            .identity = identity_,
            .protocol = "native",
            .wire_version = wire_version_};
  }

 private:
  const std::string& address_;
  std::string identity_;
  std::unique_ptr<const ConnectedPeer> named_;
  uint32_t wire_version_ = 0;
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_KNOWN_PEER_H_
