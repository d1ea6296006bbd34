// The most bytes of a message, and the side whose option says so.
//
// Threads  value
#ifndef WEFT_RPC_BASE_MESSAGE_LIMIT_H_
#define WEFT_RPC_BASE_MESSAGE_LIMIT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "weft/core/requirements.h"

namespace weft::internal {

struct MessageLimit {
  size_t bytes = 0;
  // "server", "channel", "calling node", "called node"; as long-lived as a constant.
  std::string_view owner;

  // For texts of errors: "max_message_bytes of the server".
  std::string Setting() const { return "max_message_bytes of the " + std::string(owner); }
};

}  // namespace weft::internal

#endif  // WEFT_RPC_BASE_MESSAGE_LIMIT_H_
