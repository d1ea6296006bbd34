// Whose calls a dispatcher serves, as its errors say it: a server's, or those that a channel's
// server makes in return.
//
// Threads  value
#ifndef WEFT_RPC_SERVER_SERVING_SIDE_H_
#define WEFT_RPC_SERVER_SERVING_SIDE_H_

namespace weft {

struct ServingSide {
  const char* name;
  const char* max_calls;  // the setting that limits its calls under way
};

inline constexpr ServingSide kServerServes{"server", "overload.max_calls of the server"};
inline constexpr ServingSide kChannelServes{"channel", "max_service_calls of the channel"};

}  // namespace weft

#endif  // WEFT_RPC_SERVER_SERVING_SIDE_H_
