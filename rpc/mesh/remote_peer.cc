#include "weft/rpc/mesh/remote_peer.h"

#include <utility>

#include "absl/base/optimization.h"
#include "weft/rpc/client/forked_call.h"

namespace weft::internal {

std::shared_ptr<RemotePeer> RemotePeer::Create(std::shared_ptr<Pair> pair, IoThread& home,
                                               std::shared_ptr<const StartConfig> config) {
  auto peer = std::make_shared<RemotePeer>(std::move(pair), home, std::move(config));
  // Not in the constructor, where there is no shared_ptr yet.
  peer->starter_.SetKeeper(peer);
  return peer;
}

RemotePeer::RemotePeer(std::shared_ptr<Pair> pair, IoThread& home,
                       std::shared_ptr<const StartConfig> config)
    : pair_(std::move(pair)),
      // The links are a member of the pair: the pointer shares the pair's count.
      starter_(std::shared_ptr<LinkSource>(pair_, &pair_->links()), home, std::move(config),
               pair_->name()) {}

void RemotePeer::Start(OutboundCall& call) {
  // A forked child has none of the I/O threads: a call there would wait for ever.
  if (ABSL_PREDICT_TRUE(!home_.InForkedChild())) {
    starter_.Start(call);
    return;
  }
  ForkedCall::Refuse(call);
}

}  // namespace weft::internal
