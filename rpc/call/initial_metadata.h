// The metadata that a server sends for a call before its first message and its answer.
//
// Threads  pairs: the handler's, until they are sent; sent: the carrier's, under its lock
#ifndef WEFT_RPC_CALL_INITIAL_METADATA_H_
#define WEFT_RPC_CALL_INITIAL_METADATA_H_

#include "weft/rpc/base/metadata.h"

namespace weft::internal {

struct InitialMetadata {
  Metadata pairs;
  // They have left, or a message has: then it is too late for them.
  bool sent = false;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_INITIAL_METADATA_H_
