// The protocols that servers take and channels speak where nothing else is said.
//
// Threads  any
#ifndef WEFT_RPC_DEFAULT_PROTOCOLS_H_
#define WEFT_RPC_DEFAULT_PROTOCOLS_H_

#include <span>

#include "weft/rpc/protocol/protocol.h"

namespace weft::internal {

// An accepted connection is tried for them in this order. Channels dial the first one.
std::span<const Protocol> DefaultProtocols();

}  // namespace weft::internal

#endif  // WEFT_RPC_DEFAULT_PROTOCOLS_H_
