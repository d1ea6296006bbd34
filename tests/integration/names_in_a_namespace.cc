// Names as a machine has them: with the system's files and port 53, in a mount and a network
// namespace of this program's own, which it is started in (unshare -m -n). Exits 0 if all holds.
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/integration/stack.h"
#include "tests/support/scripted_dns.h"
#include "tests/support/temp_dir.h"
#include "weft/core/acceptor.h"

namespace weft::test {

using namespace internal;

namespace {

using Question = ScriptedDns::Question;
using Reply = ScriptedDns::Reply;

// The namespace's own hosts and resolv.conf, and a loopback interface that is up.
class NamesInANamespace : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = std::make_unique<TempDir>();
    for (const char* name : {"hosts", "resolv.conf"}) {
      Write(name, "");
      ASSERT_EQ(::mount(absl::StrCat(dir_->path(), "/", name).c_str(),
                        absl::StrCat("/etc/", name).c_str(), nullptr, MS_BIND, nullptr),
                0)
          << "is this program run by unshare -m -n?";
    }
    const Socket any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq up{};
    up.ifr_name[0] = 'l';
    up.ifr_name[1] = 'o';
    up.ifr_flags = IFF_UP;
    ASSERT_EQ(::ioctl(any.fd(), SIOCSIFFLAGS, &up), 0);
  }
  static void TearDownTestSuite() { dir_.reset(); }

  // In place, for the file is what was mounted.
  static void Write(const std::string& name, const std::string& text) {
    std::ofstream(dir_->path() + "/" + name) << text;
  }

  // One call through a channel of default options.
  static absl::Status Call(const std::string& target, CallOptions options = {}) {
    const auto channel = ChannelTo(target);
    return EchoService::Stub(*channel).Echo(RequestOf("x"), options).status();
  }

  static std::unique_ptr<TempDir> dir_;
};

std::unique_ptr<TempDir> NamesInANamespace::dir_;

class Serving {
 public:
  explicit Serving(const std::string& address) {
    EXPECT_TRUE(server_.Register(service_).ok());
    const absl::Status started = server_.Start(address);
    EXPECT_TRUE(started.ok()) << started;
  }
  Server* operator->() { return &server_; }

 private:
  HookedEcho service_;
  Server server_;
};

TEST_F(NamesInANamespace, LocalhostIsTheSameToBothHalves) {
  Write("hosts", "127.0.0.1 localhost\n::1 localhost\n");
  Serving server("localhost:0");
  EXPECT_EQ(server->addresses().size(), 2u);
  for (const std::string& address : server->addresses()) {
    EXPECT_TRUE(Call(address).ok()) << address;
  }
  EXPECT_TRUE(Call(absl::StrCat("localhost:", server->port())).ok());
}

TEST_F(NamesInANamespace, AServerThatHasOneOfTheAddressesIsFound) {
  Write("hosts", "127.0.0.1 localhost\n::1 localhost\n");
  for (const char* address : {"127.0.0.1:0", "[::1]:0"}) {
    Serving server(address);
    const absl::Status called = Call(absl::StrCat("localhost:", server->port()));
    EXPECT_TRUE(called.ok()) << called;
  }
}

TEST_F(NamesInANamespace, AnAddressOfAFamilyThatIsOffIsLeftOut) {
  Write("hosts", "127.0.0.1 localhost\n::1 localhost\n");
  std::ofstream("/proc/sys/net/ipv6/conf/all/disable_ipv6") << "1";
  {
    Serving server("localhost:0");
    EXPECT_EQ(server->addresses().size(), 1u);
    const absl::Status called = Call(absl::StrCat("localhost:", server->port()));
    EXPECT_TRUE(called.ok()) << called;
  }
  std::ofstream("/proc/sys/net/ipv6/conf/all/disable_ipv6") << "0";
  std::ofstream("/proc/sys/net/ipv6/conf/lo/disable_ipv6") << "0";
}

TEST_F(NamesInANamespace, APortThatIsTakenOnOneAddressIsGivenUpForAnother) {
  Write("hosts", "127.0.0.1 localhost\n::1 localhost\n");
  // The system has four ports to give, and three of them are taken on one of the two addresses.
  std::ofstream("/proc/sys/net/ipv4/ip_local_port_range") << "40000 40003";
  std::vector<Socket> taken;
  for (const int port : {40000, 40001, 40002}) {
    auto socket = Socket::Listen(*SocketAddress::Parse(absl::StrCat("127.0.0.1:", port)), 1);
    ASSERT_TRUE(socket.ok()) << socket.status();
    taken.push_back(*std::move(socket));
  }
  Server server;
  const absl::Status started = server.Start("localhost:0");
  EXPECT_TRUE(started.ok()) << started;
  EXPECT_EQ(server.port(), 40003);
  std::ofstream("/proc/sys/net/ipv4/ip_local_port_range") << "32768 60999";
}

TEST_F(NamesInANamespace, ADeadAddressHoldsUpNoAttempt) {
  Write("hosts", "127.0.0.1 two\n127.0.0.2 two\n");
  // With a full backlog the kernel answers no more: the address looks dead.
  const Socket dead = *Socket::Listen(*SocketAddress::Parse("127.0.0.1:0"), 0);
  const SocketAddress address = *dead.LocalAddress();
  std::vector<Socket> queue;
  for (int i = 0; i < 4; ++i) {
    bool connected = false;
    queue.push_back(*Socket::StartConnect(address, &connected));
  }
  Serving server(absl::StrCat("127.0.0.2:", address.port()));
  // No second attempt within the test's time: the first one has to get to the other address.
  ChannelOptions options;
  options.backoff = absl::Hours(1);
  options.max_backoff = absl::Hours(1);
  const auto channel = ChannelTo(absl::StrCat("two:", address.port()), std::move(options));
  EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x")).ok());
  EXPECT_EQ(channel->counts().failed_connects, 0);
}

// A process that closes what it accepts: it fails in the handshake.
TEST_F(NamesInANamespace, TheNextAttemptDoesNotBeginWithTheAddressThatFailedInTheHandshake) {
  Write("hosts", "127.0.0.1 two\n127.0.0.2 two\n");
  const auto closing = *Acceptor::Create({}, [](Socket, const SocketAddress&) {});
  const uint16_t port = closing->AddListener(*SocketAddress::Parse("127.0.0.1:0"))->port();
  Serving server(absl::StrCat("127.0.0.2:", port));
  const auto channel = ChannelTo(absl::StrCat("two:", port));
  EchoService::Stub stub(*channel);
  EXPECT_FALSE(stub.Echo(RequestOf("x")).ok());
  EXPECT_TRUE(stub.Echo(RequestOf("x"), {.wait_for_ready = true}).ok());
  EXPECT_EQ(channel->counts().failed_connects, 1);
}

TEST_F(NamesInANamespace, NameServersMayMisbehaveInManyWays) {
  Write("hosts", "127.0.0.1 localhost\n");
  Write("resolv.conf", "nameserver 127.0.0.53\nnameserver 127.0.0.54\n");
  Serving server("127.0.0.1:0");
  const std::string target = absl::StrCat("web.example:", server->port());
  const auto good = [](const Question& q) {
    return q.ipv6 ? Reply{} : Reply{.addresses = {"127.0.0.1"}};
  };
  const std::pair<std::string, ScriptedDns::Script> cases[] = {
      {"good", good},
      {"no answer for IPv6",
       [&](const Question& q) { return q.ipv6 ? Reply{.silent = true} : good(q); }},
      {"failure for IPv6",
       [&](const Question& q) {
         return q.ipv6 ? Reply{.code = ScriptedDns::kServerFailed} : good(q);
       }},
      {"truncated",
       [](const Question& q) {
         return q.ipv6 ? Reply{}
                       : Reply{.truncated = true,
                               .addresses = std::vector<std::string>(q.tcp ? 40 : 28, "127.0.0.1")};
       }},
      {"alias",
       [](const Question& q) {
         return Reply{.alias = "other", .addresses = {q.ipv6 ? "::1" : "127.0.0.1"}};
       }},
  };
  for (const auto& [name, script] : cases) {
    const ScriptedDns dns(script, "127.0.0.53", 53);
    const absl::Status called = Call(target);
    EXPECT_TRUE(called.ok()) << name << ": " << called;
  }
  // The first is silent, or not there, and the second serves.
  const ScriptedDns second(good, "127.0.0.54", 53);
  EXPECT_TRUE(Call(target).ok()) << "not there";
  const ScriptedDns dead([](const Question&) { return Reply{.silent = true}; }, "127.0.0.53", 53);
  EXPECT_TRUE(Call(target, {.wait_for_ready = true}).ok()) << "silent";
}

}  // namespace
}  // namespace weft::test
