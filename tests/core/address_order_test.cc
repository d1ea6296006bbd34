// The order in which the addresses of a name are tried. The tests themselves say which addresses
// have a route; only the last test asks the kernel.
#include "weft/core/address_order.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::internal {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Order(const std::vector<std::string>& texts,
                               const std::vector<std::string>& without_route = {}) {
  std::vector<SocketAddress> addresses;
  for (const std::string& text : texts) addresses.push_back(*SocketAddress::Parse(text));
  std::vector<std::string> order;
  for (const SocketAddress& a : InOrderOfTrying(addresses, [&](const SocketAddress& address) {
         return testing::Matches(testing::Not(testing::Contains(address.ToString())))(
             without_route);
       })) {
    order.push_back(a.ToString());
  }
  return order;
}

TEST(AddressOrder, BeginsWithIpv6AndLetsFamiliesTakeTurns) {
  EXPECT_THAT(
      Order({"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "[2001:db8::1]:1", "[2001:db8::2]:1"}),
      // The third IPv4 address comes last because the other family is used up.
      ElementsAre("[2001:db8::1]:1", "10.0.0.1:1", "[2001:db8::2]:1", "10.0.0.2:1", "10.0.0.3:1"));
}

TEST(AddressOrder, KeepsTheOrderOfTheAnswerWithinAFamily) {
  EXPECT_THAT(Order({"10.0.0.3:1", "10.0.0.1:1", "10.0.0.2:1"}),
              ElementsAre("10.0.0.3:1", "10.0.0.1:1", "10.0.0.2:1"));
}

TEST(AddressOrder, PutsAddressesWithoutARouteLast) {
  EXPECT_THAT(
      Order({"[2001:db8::1]:1", "10.0.0.1:1", "10.0.0.2:1"}, {"[2001:db8::1]:1", "10.0.0.1:1"}),
      // By rank, IPv6 leads. Behind the reachable address the two others are ordered in the same
      // way.
      ElementsAre("10.0.0.2:1", "[2001:db8::1]:1", "10.0.0.1:1"));
}

TEST(AddressOrder, PutsUniqueLocalAddressesBehindIpv4) {
  // RFC 6724 gives fc00::/7 a rank below IPv4: such an address is often configured and leads
  // nowhere.
  EXPECT_THAT(Order({"[fd00::1]:1", "10.0.0.1:1"}), ElementsAre("10.0.0.1:1", "[fd00::1]:1"));
}

TEST(AddressOrder, KnowsThatLoopbackCanBeReached) {
  // Holds on a machine without a network, too. A unix address is not asked for a route.
  EXPECT_TRUE(HasRoute(*SocketAddress::Parse("127.0.0.1:1")));
  EXPECT_TRUE(HasRoute(*SocketAddress::Parse("unix:/x")));
}

}  // namespace
}  // namespace weft::internal
