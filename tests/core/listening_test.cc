// Listening on several addresses of this machine with one port: the addresses that are left out,
// and the cases that fail.
#include "weft/core/listening.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<SocketAddress> Addresses(const std::vector<std::string>& texts) {
  std::vector<SocketAddress> addresses;
  for (const std::string& text : texts) addresses.push_back(*SocketAddress::Parse(text));
  return addresses;
}

TEST(ListenOnAll, TakesOnePortForAllAddresses) {
  std::vector<std::string> left_out;
  const auto all = ListenOnAll(Addresses({"127.0.0.1:0", "[::1]:0", "127.0.0.2:0"}), {}, &left_out);
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 3u);
  EXPECT_NE((*all)[0].address.port(), 0);
  for (const Listening& one : *all) {
    EXPECT_EQ(one.address.port(), (*all)[0].address.port());
    bool connected = false;
    EXPECT_TRUE(Socket::StartConnect(one.address, &connected).ok()) << one.address.ToString();
  }
  EXPECT_THAT(left_out, IsEmpty());
}

TEST(ListenOnAll, TakesBothWildcards) {
  std::vector<std::string> left_out;
  const auto all = ListenOnAll(Addresses({"0.0.0.0:0", "[::]:0"}), {}, &left_out);
  // An IPv6 socket for both families would find its port in use by the IPv4 one.
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->size(), 2u);
}

TEST(ListenOnAll, LeavesOutAnAddressOfAnotherMachine) {
  std::vector<std::string> left_out;
  // 240.0.0.0/4 is reserved: no machine has an address of it.
  const auto all = ListenOnAll(Addresses({"240.0.0.1:0", "127.0.0.1:0"}), {}, &left_out);
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 1u);
  // The port is the one that the first usable address got.
  EXPECT_NE((*all)[0].address.port(), 0);
  EXPECT_THAT(left_out, ElementsAre(HasSubstr("240.0.0.1")));
}

TEST(ListenOnAll, FailsWhereNoAddressIsThisMachines) {
  std::vector<std::string> left_out;
  const auto all = ListenOnAll(Addresses({"240.0.0.1:0", "240.0.0.2:0"}), {}, &left_out);
  ASSERT_FALSE(all.ok());
  EXPECT_THAT(std::string(all.status().message()), HasSubstr("240.0.0.2"));
}

TEST(ListenOnAll, FailsAndLeavesNothingWhereAGivenPortIsInUse) {
  const Socket taken = *Socket::Listen(*SocketAddress::Parse("127.0.0.2:0"), 1);
  const uint16_t port = taken.LocalAddress()->port();
  std::vector<std::string> left_out;
  const std::vector<SocketAddress> wanted = {SocketAddress::Parse("127.0.0.1:0")->WithPort(port),
                                             *taken.LocalAddress()};
  const auto all = ListenOnAll(wanted, {}, &left_out);
  ASSERT_FALSE(all.ok());
  EXPECT_THAT(std::string(all.status().message()), HasSubstr(wanted[1].ToString()));
  // The first address was listened on before the second failed.
  EXPECT_TRUE(Socket::Listen(wanted[0], 1).ok());
}

// The second address is the first again, so its port is in use at each try.
TEST(ListenOnAll, TriesAnotherPortTenTimesAndThenSaysSo) {
  std::vector<std::string> left_out;
  const auto all = ListenOnAll(Addresses({"127.0.0.1:0", "127.0.0.1:0"}), {}, &left_out);
  ASSERT_FALSE(all.ok());
  EXPECT_THAT(std::string(all.status().message()),
              testing::AllOf(HasSubstr("10 tries"), HasSubstr("Address already in use")));
}

}  // namespace
}  // namespace weft::internal
