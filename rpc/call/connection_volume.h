// The calls and bytes that a connection has carried.
//
// Threads  value
#ifndef WEFT_RPC_CALL_CONNECTION_VOLUME_H_
#define WEFT_RPC_CALL_CONNECTION_VOLUME_H_

#include <cstddef>
#include <cstdint>

#include "weft/core/requirements.h"

namespace weft {

struct ConnectionVolume {
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  size_t queued = 0;         // bytes that wait to be written
  size_t calls = 0;          // under way
  uint64_t calls_begun = 0;  // changes with each call that begins
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_CONNECTION_VOLUME_H_
