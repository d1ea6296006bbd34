#include "weft/rpc/client/caller.h"

#include <string>
#include <utility>

#include "absl/base/optimization.h"
#include "weft/core/check.h"
#include "weft/rpc/client/forked_call.h"

namespace weft::internal {

CallerMaker Caller::Maker(IoThread& io, std::shared_ptr<const StartConfig> config) {
  return [&io, config = std::move(config)](const std::shared_ptr<CallLink>& link) {
    return std::make_unique<Caller>(io, config, link);
  };
}

Caller::Caller(IoThread& io, std::shared_ptr<const StartConfig> config,
               const std::shared_ptr<CallLink>& link)
    : source_(*link),
      // A pointer without an owner: source and starter are members of the same object.
      starter_(std::shared_ptr<LinkSource>(std::shared_ptr<void>(), &source_), io,
               std::move(config), link->connected_peer().address) {
  WEFT_DCHECK(&link->loop() == io.loop.get());  // so calls end where they wait
  // The link owns this object, so calls under way keep the link.
  starter_.SetKeeper(link);
}

void Caller::Start(OutboundCall& call) {
  if (ABSL_PREDICT_TRUE(!home_.InForkedChild())) {
    starter_.Start(call);
    return;
  }
  ForkedCall::Refuse(call);
}

}  // namespace weft::internal
