// One side's introduction at the beginning of a connection: its identity, the name it wants to
// reach, and which of its connections this is.
//
// Threads  value
#ifndef WEFT_RPC_PROTOCOL_HELLO_FACTS_H_
#define WEFT_RPC_PROTOCOL_HELLO_FACTS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "weft/core/requirements.h"

namespace weft::internal {

struct HelloFacts {
  // The longest name.
  static constexpr size_t kMaxNameBytes = 255;

  // The sender's name as a member of a cluster; empty: none. A peer chooses its own name: at most
  // kMaxNameBytes, without control characters, and not to be trusted before the verdict.
  std::string node = {};
  std::string cluster = {};
  // From a dialer: the node it wants to reach; empty: any.
  std::string wanted_node = {};
  // A number for each start of the process; 0: not given.
  uint64_t incarnation = 0;
  // Chosen by the dialer for each connection. Decides between two connections dialled at once.
  uint64_t dial_number = 0;
  // The sender's last dial number towards the receiver, for this slot; 0: none.
  uint64_t last_dial = 0;
  // This is connection `slot` of `slots` to one peer; 0 of 0: the only one.
  uint32_t slot = 0;
  uint32_t slots = 0;
  // For the other side's authenticator; any bytes.
  std::string token = {};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_PROTOCOL_HELLO_FACTS_H_
