#include "weft/rpc/call/outbound_call.h"

#include <utility>

#include "weft/rpc/call/client_context.h"

namespace weft {

void OutboundCall::Started(CallHandle handle) {
  if (scope != nullptr) cancel_by_scope_.emplace(scope->stop_token(), CancelByScope{handle});
  if (options.context != nullptr) options.context->Started(std::move(handle));
}

const Metadata* OutboundCall::metadata() const {
  if (interception != nullptr) return &interception->metadata();
  return options.context != nullptr ? &options.context->metadata() : nullptr;
}

}  // namespace weft
