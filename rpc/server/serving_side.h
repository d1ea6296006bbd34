// Whose calls a dispatcher serves, as its errors say it: a server's, or those that a channel's
// server makes in return.
//
// Threads  value
#ifndef WEFT_RPC_SERVER_SERVING_SIDE_H_
#define WEFT_RPC_SERVER_SERVING_SIDE_H_

namespace weft {

struct ServingSide {
  const char* name;
  const char* max_calls;       // the setting that limits its calls under way
  const char* max_write_wait;  // the one that limits its blocking writes
};

inline constexpr ServingSide kServerServes{"server", "overload.max_calls of the server",
                                           "max_write_wait of the server"};
inline constexpr ServingSide kChannelServes{"channel", "max_service_calls of the channel",
                                            "max_service_write_wait of the channel"};

}  // namespace weft

#endif  // WEFT_RPC_SERVER_SERVING_SIDE_H_
