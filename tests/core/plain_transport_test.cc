// Bytes that the peer's side has not acknowledged, over the kernel's own TCP and unix sockets.
#include "weft/core/plain_transport.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "tests/support/watched.h"

namespace weft::internal {
namespace {

struct Ends {
  std::unique_ptr<PlainTransport> near;
  std::unique_ptr<PlainTransport> far;
};

Ends TcpPair() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(listener, any, size), 0);
  EXPECT_EQ(::listen(listener, 1), 0);
  EXPECT_EQ(::getsockname(listener, any, &size), 0);
  const int near = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(::connect(near, any, size), 0);
  const int far = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  ::close(listener);
  return {std::make_unique<PlainTransport>(Socket(near)),
          std::make_unique<PlainTransport>(Socket(far))};
}

Ends UnixPair() {
  int fds[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  return {std::make_unique<PlainTransport>(Socket(fds[0])),
          std::make_unique<PlainTransport>(Socket(fds[1]))};
}

ssize_t Write(PlainTransport& to, size_t size) {
  const std::string bytes(size, 'x');
  const iovec piece{const_cast<char*>(bytes.data()), size};
  return to.Write(&piece, 1);
}

// Reads until no byte is left at this moment. Returns how many came.
size_t Drain(PlainTransport& from) {
  std::string room(64 << 10, '\0');
  const iovec piece{room.data(), room.size()};
  size_t all = 0;
  for (ssize_t n; (n = from.Read(&piece, 1)) > 0;) all += static_cast<size_t>(n);
  return all;
}

// Fills the way to the far end. Returns how many bytes that took.
size_t Fill(PlainTransport& near) {
  size_t all = 0;
  for (ssize_t n; (n = Write(near, 256 << 10)) > 0;) all += static_cast<size_t>(n);
  EXPECT_EQ(errno, EAGAIN);
  return all;
}

TEST(PlainTransport, KnowsWhatThePeersTcpHasNotAcknowledged) {
  Ends ends = TcpPair();
  EXPECT_EQ(ends.near->Unacknowledged(), 0u);
  // The peer's kernel acknowledges a few bytes although nobody reads them.
  ASSERT_EQ(Write(*ends.near, 100), 100);
  EXPECT_TRUE(PollUntil([&] { return ends.near->Unacknowledged() == 0; }));
  // Both kernels' buffers are full: the peer's kernel has acknowledged its part, and the rest is on
  // this side.
  const size_t written = Fill(*ends.near);
  EXPECT_GT(ends.near->Unacknowledged(), 0u);
  EXPECT_LT(ends.near->Unacknowledged(), written);
  const size_t before = ends.near->Unacknowledged();
  Drain(*ends.far);
  EXPECT_TRUE(PollUntil([&] { return ends.near->Unacknowledged() < before; }));
  EXPECT_TRUE(PollUntil([&] {
    Drain(*ends.far);
    return ends.near->Unacknowledged() == 0;
  }));
}

TEST(PlainTransport, OfAUnixSocketKnowsAtLeastWhatWasNotRead) {
  Ends ends = UnixPair();
  EXPECT_EQ(ends.near->Unacknowledged(), 0u);
  const size_t written = Fill(*ends.near);
  EXPECT_GE(ends.near->Unacknowledged(), written);
  EXPECT_EQ(Drain(*ends.far), written);
  EXPECT_EQ(ends.near->Unacknowledged(), 0u);
}

}  // namespace
}  // namespace weft::internal
