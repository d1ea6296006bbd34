// The side that a dispatcher serves, as errors name it: a server with its clients' calls, or a
// channel with the calls that its server makes in return.
//
// Threads  value
#ifndef WEFT_RPC_SERVER_SERVING_SIDE_H_
#define WEFT_RPC_SERVER_SERVING_SIDE_H_

#include "weft/core/requirements.h"

namespace weft::internal {

struct ServingSide {
  const char* name;
  const char* max_calls;       // the setting that limits its calls under way
  const char* max_write_wait;  // the one that limits its blocking writes
};

inline constexpr ServingSide kServerServes{"server", "overload.max_calls of the server",
                                           "max_write_wait of the server"};
inline constexpr ServingSide kChannelServes{"channel", "max_service_calls of the channel",
                                            "max_service_write_wait of the channel"};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_SERVING_SIDE_H_
