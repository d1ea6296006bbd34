// Addresses as text, both ways, and the names of hosts that a resolver may be asked for. Text may
// come from a peer: damaged text is refused and quoted.
#include "weft/core/socket_address.h"

#include <net/if.h>
#include <netinet/in.h>

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace weft::internal {
namespace {

TEST(SocketAddress, ReadsAndWritesTheSameText) {
  for (const char* text : {
           "127.0.0.1:80",
           "0.0.0.0:0",
           "255.255.255.255:65535",
           "[::1]:7000",
           "[::]:0",
           "[2001:db8::17]:443",
           "unix:/run/x.sock",
           "unix:relative.sock",
           "unix:@abstract",
       }) {
    absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
    ASSERT_TRUE(address.ok()) << text << ": " << address.status();
    EXPECT_EQ(address->ToString(), text);
  }
}

TEST(SocketAddress, ReadsOtherSpellings) {
  const struct {
    const char* text;
    const char* meaning;
  } kSpellings[] = {
      {"127.0.0.1:0080", "127.0.0.1:80"},
      {"[0:0:0:0:0:0:0:1]:1", "[::1]:1"},
      {"[2001:DB8::1]:1", "[2001:db8::1]:1"},
      {"[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.1]:1"},
  };
  for (const auto& s : kSpellings) {
    absl::StatusOr<SocketAddress> address = SocketAddress::Parse(s.text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(address->ToString(), s.meaning);
  }
}

TEST(SocketAddress, RefusesDamagedTextAndQuotesIt) {
  using std::string_view_literals::operator""sv;
  const std::string_view kDamaged[] = {
      "",
      ":",
      ":80",
      "127.0.0.1",
      "127.0.0.1:",
      "127.0.0.1:x",
      "127.0.0.1:-1",
      "127.0.0.1:+1",
      "127.0.0.1: 1",
      "127.0.0.1:1 ",
      "127.0.0.1:65536",
      "127.0.0.1:99999999999999999999",
      "127.0.0.1:0x50",
      "127.0.0:80",
      "127.0.0.1.1:80",
      "256.0.0.1:80",
      " 127.0.0.1:80",
      "localhost:80",
      "::1:80",
      "[::1]",
      "[::1]80",
      "[::1]:",
      "[::1",
      "[]:80",
      "[:::1]:80",
      "[::1%]:80",
      "[fe80::1%no-such-interface]:80",
      "[12345::]:80",
      "unix:",
      "127.0.0.1\0:80"sv,
      "127.0.0.1\0.evil:80"sv,
      "unix:\0hidden"sv,
      "unix:/run/x\0.sock"sv,
  };
  for (std::string_view text : kDamaged) {
    absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
    ASSERT_FALSE(address.ok()) << "took \"" << text << "\" for " << address->ToString();
    EXPECT_TRUE(absl::IsInvalidArgument(address.status())) << address.status();
  }
  EXPECT_NE(SocketAddress::Parse("gibberish").status().message().find("\"gibberish\""),
            absl::string_view::npos);
}

TEST(SocketAddress, BoundsTheUnixPath) {
  // There is room for 108 bytes. The slash and the zero at the end take two of them.
  const std::string longest = "unix:/" + std::string(sizeof(sockaddr_un::sun_path) - 2, 'x');
  absl::StatusOr<SocketAddress> address = SocketAddress::Parse(longest);
  ASSERT_TRUE(address.ok()) << address.status();
  EXPECT_EQ(address->ToString(), longest);
  EXPECT_TRUE(absl::IsInvalidArgument(SocketAddress::Parse(longest + "x").status()));
}

TEST(SocketAddress, KeepsTheInterfaceOfALinkLocalAddress) {
  const unsigned lo = ::if_nametoindex("lo");
  ASSERT_NE(lo, 0u);
  absl::StatusOr<SocketAddress> named = SocketAddress::Parse("[fe80::1%lo]:7");
  ASSERT_TRUE(named.ok()) << named.status();
  EXPECT_EQ(reinterpret_cast<const sockaddr_in6*>(named->get())->sin6_scope_id, lo);
  // The text has the interface's number, which Parse reads as well.
  absl::StatusOr<SocketAddress> again = SocketAddress::Parse(named->ToString());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(reinterpret_cast<const sockaddr_in6*>(again->get())->sin6_scope_id, lo);
}

TEST(SocketAddress, SaysWhatItIs) {
  const SocketAddress v4 = *SocketAddress::Parse("10.1.2.3:4");
  EXPECT_EQ(v4.family(), AF_INET);
  EXPECT_EQ(v4.port(), 4);
  EXPECT_FALSE(v4.is_unix());
  EXPECT_EQ(v4.WithPort(9).ToString(), "10.1.2.3:9");
  const SocketAddress v6 = *SocketAddress::Parse("[::1]:65535");
  EXPECT_EQ(v6.family(), AF_INET6);
  EXPECT_EQ(v6.port(), 65535);
  EXPECT_EQ(v6.WithPort(1).ToString(), "[::1]:1");
  const SocketAddress file = *SocketAddress::Parse("unix:/a/b");
  EXPECT_TRUE(file.is_unix());
  EXPECT_EQ(file.port(), 0);
  EXPECT_EQ(file.unix_file(), "/a/b");
  EXPECT_EQ(file.WithPort(9).ToString(), "unix:/a/b");
  EXPECT_EQ(SocketAddress::Parse("unix:@name")->unix_file(), "");
  EXPECT_EQ(v4.unix_file(), "");
}

TEST(SocketAddress, CopiesASockaddrAndNoMoreThanFits) {
  const SocketAddress address = *SocketAddress::Parse("[::1]:8");
  EXPECT_EQ(SocketAddress::FromSockaddr(address.get(), address.length()).ToString(), "[::1]:8");
  // accept gives such an address for a client that is bound to nothing.
  sockaddr_un unnamed{};
  unnamed.sun_family = AF_UNIX;
  EXPECT_EQ(SocketAddress::FromSockaddr(reinterpret_cast<sockaddr*>(&unnamed), sizeof(sa_family_t))
                .ToString(),
            "unix:(unnamed)");
  EXPECT_EQ(SocketAddress().ToString(), "(no address)");
}

TEST(HostPort, RefusesWhatCannotBeAName) {
  const std::string label(63, 'x');
  const std::string too_long(64, 'x');
  const std::pair<std::string, std::string> cases[] = {
      {std::string("a\0b:1", 5), "a zero byte"},
      {absl::StrCat(too_long, ":1"), "part of the host name is too long (limit 63"},
      {absl::StrCat("a.", too_long, ".b:1"), "part of the host name is too long (limit 63"},
      {absl::StrCat(label, ".", label, ".", label, ".", label, ":1"),
       "host name is too long (limit 253"},
      {"a..b:1", "two dots"},
      {".a:1", "a dot in front"},
      {".:1", "no host"},
      {"a b:1", "a space"},
      {"a\n:1", "a control character"},
      {"http//x:1", "a slash"},
  };
  for (const auto& [text, why] : cases) {
    const absl::Status status = HostPort::Parse(text).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    EXPECT_NE(status.message().find(why), absl::string_view::npos) << status;
  }
}

TEST(HostPort, TakesTheLongestNamesAndAbsoluteOnes) {
  for (const std::string& host : {std::string(63, 'x'), std::string("a."), std::string("_a-b.c_d"),
                                  std::string(63, 'x') + "." + std::string(63, 'x') + "." +
                                      std::string(63, 'x') + "." + std::string(61, 'x') + "."}) {
    absl::StatusOr<HostPort> parsed = HostPort::Parse(host + ":1");
    // The longest one has 253 bytes; the dot at its end is not counted.
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->host, host);
  }
}

TEST(HostPort, KeepsNamesForTheResolver) {
  absl::StatusOr<HostPort> name = HostPort::Parse("db-7.example.org:5432");
  ASSERT_TRUE(name.ok()) << name.status();
  EXPECT_EQ(name->host, "db-7.example.org");
  EXPECT_EQ(name->port, 5432);
  EXPECT_FALSE(name->is_unix());
  EXPECT_TRUE(absl::IsNotFound(SocketAddress::From(*name).status()));
  // The end of a path is no port.
  absl::StatusOr<HostPort> file = HostPort::Parse("unix:@x:1");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(file->is_unix());
  EXPECT_EQ(file->unix_path, "@x:1");
}

}  // namespace
}  // namespace weft::internal
