#include "weft/rpc/call/outbound_call.h"

#include <utility>

#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/call/client_context.h"

namespace weft {

void OutboundCall::Started(CallHandle handle) {
  if (scope != nullptr) cancel_by_scope_.emplace(scope->stop_token(), CancelByScope{handle});
  if (options.context != nullptr) options.context->Started(std::move(handle));
}

bool OutboundCall::PrepareAgain() {
  if (const Metadata* own = request_stays || interception != nullptr ? nullptr : metadata()) {
    if (!waited) waiting_metadata = *own;
  }
  waited = true;
  return true;
}

void OutboundCall::KeepRequest(char* room, size_t size) {
  MessageCodec::WriteTo(*request, room);
  kept = std::string_view(room, size);
  serialized = true;
}

const Metadata* OutboundCall::OwnMetadata() const {
  if (interception != nullptr) return &interception->metadata();
  return waited && !request_stays ? &waiting_metadata : &options.context->metadata();
}

}  // namespace weft
