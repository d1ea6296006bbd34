#include "tests/support/raw_peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/support/watched.h"

namespace weft {

using namespace internal;

namespace {

bool WaitFor(int fd, short events) {
  pollfd p{fd, events, 0};
  const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(kTestPatience);
  int n;
  do {
    n = ::poll(&p, 1, static_cast<int>(patience.count()));
  } while (n < 0 && errno == EINTR);
  return n == 1;
}

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void NoDelay(int fd) {
  const int on = 1;
  EXPECT_EQ(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
}

}  // namespace

RawPeer RawPeer::ConnectTo(int port, int receive_buffer) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (receive_buffer > 0) {
    EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer), 0);
  }
  const sockaddr_in address = Loopback(port);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0)
      << "port " << port << ", errno " << errno;
  // Tests send byte by byte: Nagle's algorithm would gather the bytes again.
  NoDelay(fd);
  return RawPeer(fd);
}

void RawPeer::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    if (!WaitFor(fd_, POLLOUT)) {
      ADD_FAILURE() << "the other side does not read: " << bytes.size() << " bytes are left";
      return;
    }
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return;
    } else if (errno != EAGAIN && errno != EINTR) {
      ADD_FAILURE() << "send: errno " << errno;
      return;
    }
  }
}

void RawPeer::SendByByte(std::string_view bytes) {
  for (const char& byte : bytes) Send({&byte, 1});
}

void RawPeer::ShutDownWrites() { ::shutdown(fd_, SHUT_WR); }

void RawPeer::Close() {
  if (const int fd = std::exchange(fd_, -1); fd >= 0) ::close(fd);
}

void RawPeer::Reset() {
  // With a linger of 0 seconds close sends a reset instead of an end.
  const linger at_once{1, 0};
  EXPECT_EQ(::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  Close();
}

// Reads until `kept_` has `n` bytes, or the connection ends.
bool RawPeer::Fill(size_t n) {
  while (kept_.size() < n && !ended_) {
    if (!WaitFor(fd_, POLLIN)) {
      ADD_FAILURE() << "nothing came: " << kept_.size() << " of " << n << " bytes";
      return false;
    }
    char bytes[16 << 10];
    const ssize_t got = ::recv(fd_, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got > 0) {
      kept_.append(bytes, static_cast<size_t>(got));
    } else if (got == 0 || errno == ECONNRESET) {
      ended_ = true;
    } else if (errno != EAGAIN && errno != EINTR) {
      ADD_FAILURE() << "recv: errno " << errno;
      return false;
    }
  }
  return kept_.size() >= n;
}

std::string RawPeer::Read(size_t n) {
  Fill(n);
  std::string bytes = kept_.substr(0, n);
  kept_.erase(0, n);
  return bytes;
}

std::optional<RawFrame> RawPeer::ReadFrame() {
  if (!Fill(native::kHeaderSize)) return std::nullopt;
  RawFrame frame;
  frame.header = native::ReadHeader(kept_.data());
  if (!Fill(native::kHeaderSize + frame.header.length)) return std::nullopt;
  kept_.erase(0, native::kHeaderSize);
  frame.body = Read(frame.header.length);
  return frame;
}

std::optional<RawFrame> RawPeer::ReadFrame(native::FrameType type) {
  for (;;) {
    std::optional<RawFrame> frame = ReadFrame();
    if (!frame.has_value() || frame->header.type == type) return frame;
  }
}

bool RawPeer::WaitForClose() {
  while (!ended_) {
    kept_.clear();
    if (!Fill(1) && !ended_) return false;
  }
  // Ends this direction too, as any peer does that has read the end of file: the other side waits
  // for it.
  ::shutdown(fd_, SHUT_WR);
  return true;
}

RawListener::RawListener() {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::listen(fd_, 16), 0);
  EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
  port_ = ntohs(address.sin_port);
}

RawListener::~RawListener() { ::close(fd_); }

std::string RawListener::address() const { return "127.0.0.1:" + std::to_string(port_); }

RawPeer RawListener::Accept() {
  if (!WaitFor(fd_, POLLIN)) {
    ADD_FAILURE() << "nobody connected";
    return RawPeer();
  }
  const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
  EXPECT_GE(fd, 0) << "errno " << errno;
  NoDelay(fd);
  return RawPeer(fd);
}

}  // namespace weft
