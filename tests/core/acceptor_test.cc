// An acceptor over the kernel's own TCP and unix sockets, from bind to Stop; and what it does when
// the process has no descriptor left.
#include "weft/core/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/scripted_dns.h"
#include "tests/support/temp_dir.h"
#include "tests/support/watched.h"

namespace weft::internal {
namespace {

SocketAddress Address(const std::string& text) {
  absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
  EXPECT_TRUE(address.ok()) << address.status();
  return *address;
}

Socket Connect(const SocketAddress& address) {
  bool connected = false;
  absl::StatusOr<Socket> socket = Socket::StartConnect(address, &connected);
  EXPECT_TRUE(socket.ok()) << socket.status();
  return socket.ok() ? *std::move(socket) : Socket();
}

// Says that the server has closed its end: a read returns the end of the file.
bool SeesTheEnd(const Socket& socket) {
  pollfd wait{socket.fd(), POLLIN, 0};
  if (::poll(&wait, 1, 30'000) != 1) return false;
  char byte;
  return ::read(socket.fd(), &byte, 1) <= 0;
}

bool Exists(const std::string& file) {
  struct stat info;
  return ::stat(file.c_str(), &info) == 0;
}

// Keeps what was accepted.
struct Accepted {
  Acceptor::OnAccept Callback() {
    return [this](Socket socket, const SocketAddress& peer) {
      list.Update([&](auto& v) {
        v.emplace_back(std::make_shared<Socket>(std::move(socket)), peer.ToString(),
                       std::this_thread::get_id());
      });
    };
  }
  [[nodiscard]] bool Await(size_t n) const {
    return list.WaitFor([&](const auto& v) { return v.size() >= n; });
  }
  // Shared, since Get() copies the list.
  struct One {
    One(std::shared_ptr<Socket> s, std::string p, std::thread::id t)
        : socket(std::move(s)), peer(std::move(p)), thread(t) {}
    std::shared_ptr<Socket> socket;
    std::string peer;
    std::thread::id thread;
  };
  Watched<std::vector<One>> list;
};

TEST(Acceptor, GivesOutConnectionsInOrderFromOneThreadOfItsOwn) {
  Accepted accepted;
  absl::StatusOr<std::unique_ptr<Acceptor>> acceptor = Acceptor::Create({}, accepted.Callback());
  ASSERT_TRUE(acceptor.ok()) << acceptor.status();
  absl::StatusOr<SocketAddress> address = (*acceptor)->AddListener(Address("127.0.0.1:0"));
  ASSERT_TRUE(address.ok()) << address.status();
  std::vector<std::string> expected;
  std::vector<Socket> clients;
  for (size_t i = 0; i < 20; ++i) {
    // The next client dials only when this one was given out, so the expected order is known.
    clients.push_back(Connect(*address));
    expected.push_back(clients.back().LocalAddress()->ToString());
    ASSERT_TRUE(accepted.Await(i + 1));
  }
  const auto list = accepted.list.Get();
  ASSERT_EQ(list.size(), expected.size());
  for (size_t i = 0; i < list.size(); ++i) {
    EXPECT_EQ(list[i].peer, expected[i]);
    EXPECT_EQ(list[i].thread, list[0].thread);
    EXPECT_NE(list[i].thread, std::this_thread::get_id());
    EXPECT_NE(::fcntl(list[i].socket->fd(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(::fcntl(list[i].socket->fd(), F_GETFD) & FD_CLOEXEC, 0);
  }
  EXPECT_EQ((*acceptor)->counts().accepted, 20);
}

TEST(Acceptor, ListensOnIpv4Ipv6AndUnixAtOnce) {
  const TempDir dir;
  Accepted accepted;
  auto acceptor = *Acceptor::Create({}, accepted.Callback());
  size_t n = 0;
  for (const std::string& text :
       {std::string("127.0.0.1:0"), std::string("[::1]:0"), "unix:" + dir.path() + "/s"}) {
    absl::StatusOr<SocketAddress> address = acceptor->AddListener(Address(text));
    ASSERT_TRUE(address.ok()) << text << ": " << address.status();
    const Socket client = Connect(*address);
    EXPECT_TRUE(accepted.Await(++n)) << text;
  }
}

TEST(Acceptor, TakesABurstLargerThanOneTurn) {
  Accepted accepted;
  auto acceptor = *Acceptor::Create({}, accepted.Callback());
  const SocketAddress address = *acceptor->AddListener(Address("127.0.0.1:0"));
  std::vector<Socket> clients;
  // One turn takes kAcceptAtOnce of them. The watch is level-triggered, so it calls again for the
  // rest.
  for (int i = 0; i < 3 * Acceptor::kAcceptAtOnce; ++i) clients.push_back(Connect(address));
  EXPECT_TRUE(accepted.Await(clients.size()));
}

TEST(Acceptor, SaysWhyAnAddressCannotBeListenedOn) {
  auto acceptor = *Acceptor::Create({}, [](Socket, const SocketAddress&) {});
  const SocketAddress taken = *acceptor->AddListener(Address("127.0.0.1:0"));
  absl::StatusOr<SocketAddress> again = acceptor->AddListener(taken);
  ASSERT_FALSE(again.ok());
  EXPECT_NE(again.status().message().find(taken.ToString()), absl::string_view::npos);
}

TEST(Acceptor, StopClosesListenersAndRemovesUnixFiles) {
  const TempDir dir;
  auto acceptor = *Acceptor::Create({}, [](Socket, const SocketAddress&) {});
  const SocketAddress file = *acceptor->AddListener(Address("unix:" + dir.path() + "/s"));
  const SocketAddress tcp = *acceptor->AddListener(Address("127.0.0.1:0"));
  EXPECT_TRUE(Exists(file.unix_file()));
  acceptor->Stop();
  EXPECT_FALSE(Exists(file.unix_file()));
  EXPECT_TRUE(Socket::Listen(tcp, 1).ok()) << "its port is free again";
}

TEST(Acceptor, ListensOnEveryAddressOfAName) {
  const TempDir dir;
  AcceptorOptions options;
  options.resolver.hosts = dir.path() + "/hosts";
  std::ofstream(options.resolver.hosts) << "127.0.0.1 me\n::1 me\n127.0.0.2 me\n";
  Accepted accepted;
  auto acceptor = *Acceptor::Create(std::move(options), accepted.Callback());
  absl::StatusOr<std::vector<SocketAddress>> addresses = acceptor->LookUp(*HostPort::Parse("me:0"));
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  addresses = acceptor->AddListeners(*addresses);
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  ASSERT_EQ(addresses->size(), 3u);
  size_t n = 0;
  for (const SocketAddress& address : *addresses) {
    // Port 0 was asked for: the port that the first address got is the one of all.
    EXPECT_EQ(address.port(), addresses->front().port());
    const Socket client = Connect(address);
    EXPECT_TRUE(accepted.Await(++n)) << address.ToString();
  }
}

TEST(Acceptor, StopEndsALookupThatSomebodyWaitsFor) {
  const TempDir dir;
  const ScriptedDns dns(
      [](const ScriptedDns::Question&) { return ScriptedDns::Reply{.silent = true}; });
  AcceptorOptions options;
  // No such file: the name is left to the name server, which never answers.
  options.resolver.hosts = dir.path() + "/hosts";
  options.resolver.resolv_conf = dir.path() + "/resolv.conf";
  options.resolver.dns_port = dns.port();
  std::ofstream(options.resolver.resolv_conf) << "nameserver 127.0.0.1\n";
  auto acceptor = *Acceptor::Create(std::move(options), [](Socket, const SocketAddress&) {});
  absl::Status status;
  std::thread waiting(
      [&] { status = acceptor->LookUp(*HostPort::Parse("web.example:0")).status(); });
  // The lookup is under way from here on, and its thread is blocked.
  EXPECT_TRUE(dns.WaitUntilAsked("web.example A"));
  acceptor->Stop();
  waiting.join();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_TRUE(
      // A lookup after Stop is told so, too: its closure is cancelled by the closed loop.
      absl::IsFailedPrecondition(acceptor->LookUp(*HostPort::Parse("web.example:0")).status()));
}

TEST(Acceptor, StopMayComeTwiceAndFromSeveralThreads) {
  auto acceptor = *Acceptor::Create({}, [](Socket, const SocketAddress&) {});
  ASSERT_TRUE(acceptor->AddListener(Address("127.0.0.1:0")).ok());
  std::vector<std::thread> threads;
  // One of the three joins the acceptor's thread. A second join of it would end the process.
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { acceptor->Stop(); });
  for (std::thread& t : threads) t.join();
  acceptor->Stop();
}

TEST(Acceptor, StoppedItRefusesListenersAndLeavesNoFile) {
  const TempDir dir;
  auto acceptor = *Acceptor::Create({}, [](Socket, const SocketAddress&) {});
  acceptor->Stop();
  const std::string file = dir.path() + "/s";
  // The socket is bound on this thread, before the loop is asked: its file exists for a moment and
  // has to go with it.
  absl::StatusOr<SocketAddress> address = acceptor->AddListener(Address("unix:" + file));
  EXPECT_TRUE(absl::IsFailedPrecondition(address.status())) << address.status();
  EXPECT_FALSE(Exists(file));
}

TEST(Acceptor, CallsNobodyAfterStop) {
  std::atomic<bool> stopped{false};
  std::atomic<int> late{0};
  auto acceptor = *Acceptor::Create({}, [&](Socket, const SocketAddress&) {
    if (stopped.load()) late.fetch_add(1);
  });
  const SocketAddress address = *acceptor->AddListener(Address("127.0.0.1:0"));
  std::vector<Socket> clients;
  // More than one turn takes, so that Stop finds connections that nobody has accepted.
  for (int i = 0; i < 200; ++i) clients.push_back(Connect(address));
  acceptor->Stop();
  stopped.store(true);
  // The destructor joins the acceptor's thread, so a late callback would have run before it
  // returns.
  acceptor.reset();
  EXPECT_EQ(late.load(), 0);
}

// ---- Out of descriptors. The test runs in a process of its own: a limit on descriptors holds for
// a whole process.

class CollectingSink final : public LogSink {
 public:
  void Write(LogLevel, std::string_view line) override {
    lines.Update([&](auto& v) { v.emplace_back(line); });
  }
  Watched<std::vector<std::string>> lines;
};

// Leaves room for `spare` more descriptors. The limit bounds the number of a descriptor, not how
// many are open, so free numbers below the highest one are used up first.
bool LimitDescriptors(size_t spare) {
  int highest = 0;
  for (int fd = 0; fd < 4096; ++fd) {
    if (::fcntl(fd, F_GETFD) != -1) highest = fd;
  }
  int fd = ::dup(0);
  while (fd >= 0 && fd < highest) fd = ::dup(0);
  if (fd < 0) return false;
  ::close(fd);
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  limit.rlim_cur = static_cast<rlim_t>(fd) + spare;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

void LiftLimit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// Ends the process with 0. Each step that fails has an exit code of its own, for the parent sees
// nothing else of this process.
void SurvivesAStorm() {
  auto sink = std::make_shared<CollectingSink>();
  Accepted accepted;
  AcceptorOptions options;
  options.log = Log(sink, LogLevel::kInfo);
  auto acceptor = *Acceptor::Create(options, accepted.Callback());
  const SocketAddress address = *acceptor->AddListener(Address("127.0.0.1:0"));

  // Log and accept once while descriptors are left: the undefined behaviour sanitizer opens a pipe
  // when it checks an object of a class for the first time.
  options.log.Info("before the storm");
  {
    const Socket first = Connect(address);
    if (!accepted.Await(1)) _exit(9);
  }
  accepted.list.Update([](auto& v) { v.clear(); });
  sink->lines.Set({});

  // Open the sockets of the clients before the limit falls. The limit then leaves room for two
  // accepted connections.
  constexpr size_t kClients = 12;
  std::vector<Socket> clients;
  for (size_t i = 0; i < kClients; ++i) {
    clients.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!clients.back().valid()) _exit(10);
  }
  if (!LimitDescriptors(2)) _exit(11);
  for (Socket& client : clients) {
    if (::connect(client.fd(), address.get(), address.length()) != 0) _exit(12);
  }
  if (!accepted.Await(2)) _exit(13);
  // The acceptor refuses one connection a pause, with the descriptor that it keeps in reserve. A
  // refused client sees the end of its connection.
  if (!PollUntil([&] { return acceptor->counts().out_of_descriptors >= 3; })) _exit(14);
  int ended = 0;
  for (const Socket& client : clients) {
    pollfd wait{client.fd(), POLLIN, 0};
    if (::poll(&wait, 1, 0) == 1) ++ended;
  }
  if (ended == 0) _exit(15);
  // The pauses double from 10 ms to 1 s, which makes some ten failures in as many seconds. A spin
  // makes a million in one.
  if (acceptor->counts().out_of_descriptors > 50) _exit(16);
  const std::vector<std::string> lines = sink->lines.Get();
  if (lines.empty() || lines.size() > 50 ||
      lines[0].find("Too many open files") == std::string::npos) {
    _exit(17);
  }
  // There is room again: the acceptor takes the rest of the queue and new connections.
  accepted.list.Update([](auto& v) { v.clear(); });
  LiftLimit();
  const Socket late = Connect(address);
  const std::string name = late.LocalAddress()->ToString();
  if (!accepted.list.WaitFor([&](const auto& v) {
        for (const auto& one : v) {
          if (one.peer == name) return true;
        }
        return false;
      })) {
    _exit(18);
  }
  // The acceptor has its reserve again, so it survives a second storm too.
  if (!LimitDescriptors(0)) _exit(19);
  const int64_t before = acceptor->counts().out_of_descriptors;
  clients.back() = Socket();
  const Socket again = Connect(address);  // uses the descriptor that the line above closed
  if (!PollUntil([&] { return acceptor->counts().out_of_descriptors > before; })) _exit(20);
  if (!SeesTheEnd(again)) _exit(21);
  LiftLimit();
  acceptor->Stop();
  _exit(0);
}

TEST(AcceptorDeathTest, PausesInsteadOfSpinningWhenDescriptorsRunOutAndRecovers) {
  // Run the binary anew: a plain fork would inherit the open descriptors of this process and none
  // of its threads.
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(SurvivesAStorm(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace weft::internal
