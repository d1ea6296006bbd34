// What one side says of itself when a connection begins, before anything else: who it is, where it
// has a name, and which of its connections this is.
//
// Threads  value
#ifndef WEFT_RPC_PROTOCOL_HELLO_FACTS_H_
#define WEFT_RPC_PROTOCOL_HELLO_FACTS_H_

#include <cstdint>
#include <string>

namespace weft {

struct HelloFacts {
  // A member of a cluster; empty: it is none. Any bytes, as the peer chose them.
  std::string node = {};
  std::string cluster = {};
  // Different for each start of the process; 0: not said.
  uint64_t incarnation = 0;
  // Chosen by the dialer for each connection: decides between two that are dialled at once.
  uint64_t dial_number = 0;
  // Of several connections to one peer: this is number `slot` of `slots`; 0 of 0: there is one.
  uint32_t slot = 0;
  uint32_t slots = 0;
  // For the other side's authenticator; any bytes.
  std::string token = {};
};

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_HELLO_FACTS_H_
