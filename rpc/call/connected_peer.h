// The process at the other end of a connection, once it is known.
//
// Threads  value
#ifndef WEFT_RPC_CALL_CONNECTED_PEER_H_
#define WEFT_RPC_CALL_CONNECTED_PEER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "weft/core/requirements.h"

namespace weft::internal {

struct ConnectedPeer {
  // The peer's address, or a name if it has no address.
  std::string address = {};
  // The identity that this side's authenticator gave; empty without one.
  std::string identity = {};
  // The node's name from its Hello: only a claim, which the identity may bear out.
  std::string node = {};
  std::string cluster = {};
  uint64_t incarnation = 0;
  // The protocol spoken, as Protocol::name, and its version.
  std::string_view protocol = {};
  uint32_t wire_version = 0;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_CONNECTED_PEER_H_
