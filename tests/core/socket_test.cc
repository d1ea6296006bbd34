// System calls of sockets, against the kernel: listening and connecting in each family, files of
// unix sockets, options, and ownership of the descriptor.
#include "weft/core/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace weft::internal {
namespace {

SocketAddress Address(const std::string& text) {
  absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
  EXPECT_TRUE(address.ok()) << address.status();
  return *address;
}

bool Writable(const Socket& socket) {
  pollfd wait{socket.fd(), POLLOUT, 0};
  return ::poll(&wait, 1, 30'000) == 1;
}

int Option(const Socket& socket, int level, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  EXPECT_EQ(::getsockopt(socket.fd(), level, name, &value, &length), 0);
  return value;
}

// Listens at `text`, connects to it, and sends a byte over the connection.
void ConnectsTo(const std::string& text) {
  SCOPED_TRACE(text);
  absl::StatusOr<Socket> listener = Socket::Listen(Address(text), 8);
  ASSERT_TRUE(listener.ok()) << listener.status();
  absl::StatusOr<SocketAddress> bound = listener->LocalAddress();
  ASSERT_TRUE(bound.ok()) << bound.status();
  if (!bound->is_unix()) {
    EXPECT_NE(bound->port(), 0);
  }
  bool connected = false;
  absl::StatusOr<Socket> client = Socket::StartConnect(*bound, &connected);
  ASSERT_TRUE(client.ok()) << client.status();
  // A unix socket is connected at once; a TCP socket may become connected later.
  if (!connected) {
    ASSERT_TRUE(Writable(*client));
  }
  EXPECT_TRUE(client->ConnectResult().ok());
  pollfd wait{listener->fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&wait, 1, 30'000), 1);
  const Socket server(::accept4(listener->fd(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(server.valid());
  ASSERT_EQ(::write(client->fd(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(server.fd(), &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
  absl::StatusOr<SocketAddress> peer = client->PeerAddress();
  ASSERT_TRUE(peer.ok()) << peer.status();
  EXPECT_EQ(peer->ToString(), bound->ToString());
  if (!bound->is_unix()) {
    EXPECT_NE(Option(*client, IPPROTO_TCP, TCP_NODELAY), 0);
    EXPECT_NE(Option(server, IPPROTO_TCP, TCP_NODELAY), 0) << "an accepted one inherits it";
  }
  for (const Socket* s : {&*listener, &*client}) {
    EXPECT_NE(::fcntl(s->fd(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_NE(::fcntl(s->fd(), F_GETFL) & O_NONBLOCK, 0);
  }
}

TEST(Socket, ListensAndConnectsOverIpv4) { ConnectsTo("127.0.0.1:0"); }

TEST(Socket, ListensAndConnectsOverIpv6) { ConnectsTo("[::1]:0"); }

TEST(Socket, ListensAndConnectsOverUnixFiles) {
  const TempDir dir;
  ConnectsTo("unix:" + dir.path() + "/s");
}

TEST(Socket, ListensAndConnectsOverAbstractNames) {
  ConnectsTo("unix:@weft-socket-test-" + std::to_string(::getpid()));
}

TEST(Socket, TheIpv6WildcardTakesIpv4Too) {
  absl::StatusOr<Socket> listener = Socket::Listen(Address("[::]:0"), 8);
  ASSERT_TRUE(listener.ok()) << listener.status();
  bool connected = false;
  absl::StatusOr<Socket> client = Socket::StartConnect(
      Address("127.0.0.1:0").WithPort(listener->LocalAddress()->port()), &connected);
  ASSERT_TRUE(client.ok()) << client.status();
  ASSERT_TRUE(Writable(*client));
  EXPECT_TRUE(client->ConnectResult().ok());
}

TEST(Socket, ReplacesAUnixFileThatNobodyListensOn) {
  const TempDir dir;
  const SocketAddress address = Address("unix:" + dir.path() + "/s");
  // The listener is closed and its file stays, as after a crash.
  { ASSERT_TRUE(Socket::Listen(address, 8).ok()); }
  struct stat info;
  ASSERT_EQ(::stat(address.unix_file().c_str(), &info), 0) << "the file of a crashed process stays";
  absl::StatusOr<Socket> again = Socket::Listen(address, 8);
  EXPECT_TRUE(again.ok()) << again.status();
}

TEST(Socket, LeavesAUnixFileThatIsListenedOn) {
  const TempDir dir;
  const SocketAddress address = Address("unix:" + dir.path() + "/s");
  absl::StatusOr<Socket> first = Socket::Listen(address, 8);
  ASSERT_TRUE(first.ok());
  absl::StatusOr<Socket> second = Socket::Listen(address, 8);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.status().message().find(address.ToString()), absl::string_view::npos)
      << second.status();
  bool connected = false;
  EXPECT_TRUE(Socket::StartConnect(address, &connected).ok()) << "the first still listens";
}

TEST(Socket, LeavesAFileThatIsNoSocket) {
  const TempDir dir;
  const std::string file = dir.path() + "/precious";
  const Socket made(::open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  ASSERT_TRUE(made.valid());
  EXPECT_FALSE(Socket::Listen(Address("unix:" + file), 8).ok());
  struct stat info;
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_TRUE(S_ISREG(info.st_mode));
}

TEST(Socket, NamesTheAddressThatIsInUse) {
  absl::StatusOr<Socket> first = Socket::Listen(Address("127.0.0.1:0"), 8);
  ASSERT_TRUE(first.ok());
  const SocketAddress taken = *first->LocalAddress();
  absl::StatusOr<Socket> second = Socket::Listen(taken, 8);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.status().message().find(taken.ToString()), absl::string_view::npos);
  EXPECT_NE(second.status().message().find("in use"), absl::string_view::npos) << second.status();
}

TEST(Socket, ARefusedConnectIsAStatus) {
  SocketAddress nobody;
  {
    absl::StatusOr<Socket> listener = Socket::Listen(Address("127.0.0.1:0"), 1);
    ASSERT_TRUE(listener.ok());
    nobody = *listener->LocalAddress();
  }
  bool connected = false;
  absl::StatusOr<Socket> client = Socket::StartConnect(nobody, &connected);
  absl::Status result = client.status();
  // Loopback may refuse at once, or when the connect is decided.
  if (client.ok()) {
    ASSERT_TRUE(Writable(*client));
    result = client->ConnectResult();
  }
  EXPECT_NE(result.message().find("refused"), absl::string_view::npos) << result;
}

TEST(Socket, AMissingUnixFileIsAStatus) {
  const TempDir dir;
  bool connected = false;
  absl::StatusOr<Socket> client =
      Socket::StartConnect(Address("unix:" + dir.path() + "/none"), &connected);
  ASSERT_FALSE(client.ok());
  EXPECT_TRUE(absl::IsNotFound(client.status())) << client.status();
}

TEST(Socket, OwnsItsDescriptor) {
  Socket a(::dup(0));
  ASSERT_TRUE(a.valid());
  const int fd = a.fd();
  Socket b = std::move(a);
  EXPECT_FALSE(a.valid());
  EXPECT_EQ(b.fd(), fd);
  Socket c;
  c = std::move(b);
  EXPECT_EQ(c.Release(), fd);
  EXPECT_FALSE(c.valid());
  EXPECT_NE(::fcntl(fd, F_GETFD), -1) << "a released one stays open";
  { const Socket last(fd); }
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
}

TEST(Socket, ClosesWhatItHeldWhenAnotherIsMovedIn) {
  const int old = ::dup(0);
  Socket target(old);
  target = Socket(::dup(0));
  EXPECT_EQ(::fcntl(old, F_GETFD), -1);
  EXPECT_TRUE(target.valid());
}

TEST(Socket, SetsTheTimeAfterWhichAPeerIsLost) {
  absl::StatusOr<Socket> socket = Socket::Listen(Address("127.0.0.1:0"), 1);
  ASSERT_TRUE(socket.ok());
  socket->SetTcpOptions(std::chrono::seconds(7));
  EXPECT_EQ(Option(*socket, IPPROTO_TCP, TCP_USER_TIMEOUT), 7'000);
  // A time of zero leaves the kernel's setting as it is.
  socket->SetTcpOptions(Nanos::zero());
  EXPECT_EQ(Option(*socket, IPPROTO_TCP, TCP_USER_TIMEOUT), 7'000);
}

TEST(Socket, SetsHowMuchMayWaitUnsent) {
  absl::StatusOr<Socket> socket = Socket::Listen(Address("127.0.0.1:0"), 1);
  ASSERT_TRUE(socket.ok());
  socket->SetMaxUnsent(128 << 10);
  EXPECT_EQ(Option(*socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 128 << 10);
  // The kernel takes an int, so a larger number must not wrap.
  socket->SetMaxUnsent(SIZE_MAX);
  EXPECT_EQ(Option(*socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT), INT_MAX);
}

TEST(Socket, AnAddressOfAClosedOneIsAStatus) {
  EXPECT_FALSE(Socket().LocalAddress().ok());
  EXPECT_FALSE(Socket().PeerAddress().ok());
  EXPECT_FALSE(Socket().ConnectResult().ok());
}

}  // namespace
}  // namespace weft::internal
