// Who is at the other end of a connection, once that is known.
//
// Threads  value
#ifndef WEFT_RPC_CALL_CONNECTED_PEER_H_
#define WEFT_RPC_CALL_CONNECTED_PEER_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace weft {

struct ConnectedPeer {
  // Where it is, or a name where it has no address.
  std::string address = {};
  // As this side's authenticator says; empty where there is none.
  std::string identity = {};
  // As its Hello says: a claim, which only the identity can bear out.
  std::string node = {};
  std::string cluster = {};
  uint64_t incarnation = 0;
  // What is spoken, as Protocol::name, and in which version.
  std::string_view protocol = {};
  uint32_t wire_version = 0;
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_CONNECTED_PEER_H_
