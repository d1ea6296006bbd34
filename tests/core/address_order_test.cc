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
      ElementsAre("[2001:db8::1]:1", "10.0.0.1:1", "[2001:db8::2]:1", "10.0.0.2:1", "10.0.0.3:1"));
}

TEST(AddressOrder, KeepsTheOrderOfTheAnswerWithinAFamily) {
  EXPECT_THAT(Order({"10.0.0.3:1", "10.0.0.1:1", "10.0.0.2:1"}),
              ElementsAre("10.0.0.3:1", "10.0.0.1:1", "10.0.0.2:1"));
}

TEST(AddressOrder, PutsAddressesWithoutARouteLast) {
  EXPECT_THAT(
      Order({"[2001:db8::1]:1", "10.0.0.1:1", "10.0.0.2:1"}, {"[2001:db8::1]:1", "10.0.0.1:1"}),
      ElementsAre("10.0.0.2:1", "[2001:db8::1]:1", "10.0.0.1:1"));
}

TEST(AddressOrder, PutsUniqueLocalAddressesBehindIpv4) {
  EXPECT_THAT(Order({"[fd00::1]:1", "10.0.0.1:1"}), ElementsAre("10.0.0.1:1", "[fd00::1]:1"));
}

TEST(AddressOrder, KnowsThatLoopbackCanBeReached) {
  EXPECT_TRUE(HasRoute(*SocketAddress::Parse("127.0.0.1:1")));
  EXPECT_TRUE(HasRoute(*SocketAddress::Parse("unix:/x")));
}

}  // namespace
}  // namespace weft::internal
