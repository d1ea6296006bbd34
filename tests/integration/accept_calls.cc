// The system calls that a server makes for one connection, from accept4 to the answer of its first
// call, counted by standing in for the C library's functions. A program of its own: what it stands
// in for holds in all of it.
#include <dlfcn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>

#include <gtest/gtest.h>

#include "tests/integration/stack.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "tests/support/step_transport.h"

namespace {

// The descriptor that was accepted last, and the calls on it.
std::atomic<int> accepted{-1};
std::atomic<int> reads{0}, writes{0}, added{0}, changed{0};

template <typename F>
F Real(const char* name) {
  return reinterpret_cast<F>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

int accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  static const auto real = Real<int (*)(int, sockaddr*, socklen_t*, int)>("accept4");
  const int got = real(fd, address, length, flags);
  if (got >= 0) accepted = got;
  return got;
}
ssize_t recv(int fd, void* bytes, size_t size, int flags) {
  static const auto real = Real<ssize_t (*)(int, void*, size_t, int)>("recv");
  if (fd == accepted) ++reads;
  return real(fd, bytes, size, flags);
}
ssize_t readv(int fd, const iovec* pieces, int count) {
  static const auto real = Real<ssize_t (*)(int, const iovec*, int)>("readv");
  if (fd == accepted) ++reads;
  return real(fd, pieces, count);
}
ssize_t send(int fd, const void* bytes, size_t size, int flags) {
  static const auto real = Real<ssize_t (*)(int, const void*, size_t, int)>("send");
  if (fd == accepted) ++writes;
  return real(fd, bytes, size, flags);
}
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  static const auto real = Real<ssize_t (*)(int, const msghdr*, int)>("sendmsg");
  if (fd == accepted) ++writes;
  return real(fd, message, flags);
}
int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  static const auto real = Real<int (*)(int, int, int, epoll_event*)>("epoll_ctl");
  if (fd == accepted) ++(operation == EPOLL_CTL_ADD ? added : changed);
  return real(epoll, operation, fd, event);
}

}  // extern "C"

namespace weft::test {
namespace {

class AcceptedConnection : public testing::TestWithParam<bool> {};

// The protocol of a connection is found by the read that any session would make; also where a
// transport's handshake might have begun instead.
TEST_P(AcceptedConnection, IsWatchedOnceAndReadOnceForItsHandshakeAndOnceForItsCall) {
  HookedEcho service;
  ServerOptions options;
  if (GetParam()) {
    options.transport = std::make_shared<StepFactory>(StepScript{.name = "bob"});
    options.transport_optional = true;
  }
  TestServer server(service, std::move(options));
  reads = writes = added = changed = 0;
  RawPeer peer = RawPeer::ConnectTo(server.port());
  peer.Send(raw::Opening());
  ASSERT_EQ(peer.Read(8), raw::Preface());
  ASSERT_TRUE(peer.ReadFrame(internal::native::FrameType::kHello).has_value());
  // Preface and Hello are read at once, and answered by one write.
  EXPECT_EQ(reads, 1);
  EXPECT_EQ(writes, 1);
  // Inline: the loop itself writes the answer.
  peer.Send(raw::Request({.id = 1, .name = "weft.test.EchoService/EchoInline"}));
  ASSERT_TRUE(peer.ReadFrame(internal::native::FrameType::kResponse).has_value());
  EXPECT_EQ(reads, 2);
  EXPECT_EQ(writes, 2);
  EXPECT_EQ(added, 1);
  EXPECT_EQ(changed, 0);
}

INSTANTIATE_TEST_SUITE_P(WithoutAndWithATransportBesideIt, AcceptedConnection, testing::Bool());

}  // namespace
}  // namespace weft::test
