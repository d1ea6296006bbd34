#include "weft/rpc/call/outbound_call.h"

#include <utility>

#include "weft/rpc/call/client_context.h"

namespace weft {

void OutboundCall::Started(CallHandle handle) {
  if (options.context != nullptr) options.context->Started(std::move(handle));
}

}  // namespace weft
