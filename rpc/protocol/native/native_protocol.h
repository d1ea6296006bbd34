// The native protocol's row.
//
// Threads  value
#ifndef WEFT_RPC_PROTOCOL_NATIVE_NATIVE_PROTOCOL_H_
#define WEFT_RPC_PROTOCOL_NATIVE_NATIVE_PROTOCOL_H_

#include <memory>
#include <string_view>

#include "weft/rpc/protocol/protocol.h"

namespace weft::internal::native {

struct NativeProtocol {
  static Match MatchPreface(std::string_view first);
  static std::unique_ptr<Session> Accept(SessionSeed seed, const SessionContext& context);
  static std::unique_ptr<Session> Dial(SessionSeed seed, const SessionContext& context);
};

inline constexpr Protocol kNativeProtocol = {
    .name = "native",
    .alpn = "weft/1",
    .match = &NativeProtocol::MatchPreface,
    .accept = &NativeProtocol::Accept,
    .dial = &NativeProtocol::Dial,
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_NATIVE_PROTOCOL_H_
