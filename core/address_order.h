// The order in which the addresses of one name are tried.
//
// RFC 6724, in short: addresses that this machine has no way to come last; then by the table of
// precedence, IPv6 before IPv4 before unique local IPv6; else as they came. Then, RFC 8305, the
// families take turns, so that one that does not work holds up nothing for long.
//
// Threads  any
#ifndef WEFT_CORE_ADDRESS_ORDER_H_
#define WEFT_CORE_ADDRESS_ORDER_H_

#include <functional>
#include <vector>

#include "weft/core/socket_address.h"

namespace weft::internal {

// True: the kernel has a route to it. Nothing is sent.
bool HasRoute(const SocketAddress& address);

std::vector<SocketAddress> InOrderOfTrying(
    std::vector<SocketAddress> addresses,
    const std::function<bool(const SocketAddress&)>& has_route = &HasRoute);

}  // namespace weft::internal

#endif  // WEFT_CORE_ADDRESS_ORDER_H_
