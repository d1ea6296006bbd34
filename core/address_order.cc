#include "weft/core/address_order.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <deque>
#include <utility>

#include "weft/core/socket.h"

namespace weft::internal {
namespace {

// The default policy table of RFC 6724, 2.1. A unix address has no rank there and is only ever
// alone, so it gets the best.
int Precedence(const SocketAddress& address) {
  if (address.family() == AF_INET) return 35;
  if (address.family() != AF_INET6) return 50;
  const in6_addr& ip = reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr;
  if (IN6_IS_ADDR_LOOPBACK(&ip)) return 50;
  if (IN6_IS_ADDR_V4MAPPED(&ip)) return 35;
  if (ip.s6_addr[0] == 0x20 && ip.s6_addr[1] == 0x02) return 30;  // 6to4
  if (ip.s6_addr[0] == 0x20 && ip.s6_addr[1] == 0x01 && ip.s6_addr[2] == 0 && ip.s6_addr[3] == 0) {
    return 5;  // Teredo
  }
  if ((ip.s6_addr[0] & 0xfe) == 0xfc) return 3;  // unique local
  return 40;
}

}  // namespace

bool HasRoute(const SocketAddress& address) {
  if (address.is_unix()) return true;
  // Nothing is sent: connecting a datagram socket makes the kernel look for a route.
  const Socket socket(::socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return socket.valid() && ::connect(socket.fd(), address.get(), address.length()) == 0;
}

std::vector<SocketAddress> InOrderOfTrying(
    std::vector<SocketAddress> addresses,
    const std::function<bool(const SocketAddress&)>& has_route) {
  // HasRoute costs system calls for each address, and one address has no order.
  if (addresses.size() < 2) return addresses;
  // Stable, like the sorts below: among equals the name server's order stays, which may balance
  // load.
  const auto unreachable = std::stable_partition(addresses.begin(), addresses.end(), has_route);
  const auto sooner = [](const SocketAddress& a, const SocketAddress& b) {
    return Precedence(a) > Precedence(b);
  };
  std::stable_sort(addresses.begin(), unreachable, sooner);
  std::stable_sort(unreachable, addresses.end(), sooner);
  // Families take turns, beginning with the best address's; unreachable addresses stay behind.
  std::vector<SocketAddress> order;
  for (const auto& [from, to] :
       {std::pair(addresses.begin(), unreachable), std::pair(unreachable, addresses.end())}) {
    // Alternating (RFC 8305, 4) bounds the harm of a broken family to one head start between two
    // good addresses.
    std::array<std::deque<SocketAddress>, 2> families;
    for (auto a = from; a != to; ++a) families[a->family() != from->family()].push_back(*a);
    for (size_t turn = 0; !families[0].empty() || !families[1].empty(); turn = 1 - turn) {
      if (families[turn].empty()) continue;
      order.push_back(families[turn].front());
      families[turn].pop_front();
    }
  }
  return order;
}

}  // namespace weft::internal
