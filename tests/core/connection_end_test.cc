// The end of a TCP connection whose peer has not received all of its output: over real sockets,
// with the time of a manual clock.

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "tests/support/watched.h"
#include "weft/core/connection.h"
#include "weft/core/manual_clock.h"
#include "weft/core/plain_transport.h"

namespace weft::internal {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

// Remembers how often it was given bytes, and how its connection ended.
class EndOwner final : public ConnectionOwner {
 public:
  void OnDirect(size_t) override {}
  size_t OnBytes(const BlockRef&, const char*, size_t size, InputNeed*) override {
    runs.Update([](int& n) { ++n; });
    return size;
  }
  void OnReadEnd() override {}
  void OnClosed(const absl::Status& reason, size_t) override { closed.Set(reason); }

  Watched<int> runs;
  Watched<std::optional<absl::Status>> closed;
};

class ConnectionEndTest : public testing::Test {
 protected:
  ConnectionEndTest() : thread_(clock_) {}
  ~ConnectionEndTest() override {
    thread_.Run([this] { connection_.reset(); });
  }

  // A connection over TCP. The test has the other end, whose system takes only a small part of
  // kOutput before the test reads.
  void Open() {
    const Socket listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::bind(listener.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listener.fd(), 1), 0);
    socklen_t size = sizeof address;
    ASSERT_EQ(::getsockname(listener.fd(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    peer_ = Socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    // A receive window of a few KiB keeps all other bytes in the kernel's buffer on this side,
    // which has room for all of them.
    const int little = 4'096;
    ::setsockopt(peer_.fd(), SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    ASSERT_EQ(::connect(peer_.fd(), reinterpret_cast<sockaddr*>(&address), size), 0);
    Socket here(::accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    ASSERT_GE(here.fd(), 0);
    const int much = 4 * static_cast<int>(kOutput);
    ::setsockopt(here.fd(), SOL_SOCKET, SO_SNDBUF, &much, sizeof much);
    handle_ = std::make_shared<ConnectionHandle>(
        thread_.shared_loop(), std::make_unique<PlainTransport>(std::move(here)), "the test");
    thread_.Run([&] {
      connection_ = std::make_unique<Connection>(thread_.loop(), arena_, handle_, &owner_);
      ASSERT_TRUE(connection_->Start().ok());
    });
  }

  // Hands kOutput bytes to the system, and closes.
  void WriteAndClose(Nanos limit) {
    {
      MutexLock lock(handle_->output().mutex());
      char* const room = handle_->output().Reserve(kOutput);
      std::fill_n(room, kOutput, 'o');
      handle_->output().Commit(kOutput);
      ASSERT_TRUE(handle_->output().Claim());
    }
    // Flush from this thread, before the connection closes: its queue is then empty while the
    // kernel's buffer still holds most of the output.
    handle_->FlushNow();
    {
      MutexLock lock(handle_->output().mutex());
      ASSERT_TRUE(handle_->output().Empty()) << "the system has taken all of it";
    }
    thread_.Run([&] {
      connection_->CloseAfterFlush(absl::UnavailableError("going"), limit,
                                   Connection::Until::kDelivered);
    });
  }

  // Reads as the peer, to the end of the connection. `error`: the errno of its end, or 0.
  std::string ReadAll(int* error) {
    std::string all;
    char buffer[16'384];
    ssize_t n;
    while ((n = ::recv(peer_.fd(), buffer, sizeof buffer, 0)) > 0) {
      all.append(buffer, static_cast<size_t>(n));
    }
    *error = n < 0 ? errno : 0;
    return all;
  }

  static constexpr size_t kOutput = 200'000;

  ManualClock clock_;
  EndOwner owner_;
  LoopThread thread_;
  BlockPool blocks_;
  InputArena arena_{blocks_};
  Socket peer_;
  std::shared_ptr<ConnectionHandle> handle_;
  std::unique_ptr<Connection> connection_;
};

TEST_F(ConnectionEndTest, WhatThePeerStillSaysTakesNothingFromIt) {
  Open();
  WriteAndClose(hours(1));
  EXPECT_FALSE(owner_.closed.Get().has_value()) << "the peer has not all of it";
  // Bytes that reach a closed socket are answered with a reset, which drops the rest of its output.
  // So the connection has to read them first.
  ASSERT_EQ(::send(peer_.fd(), "credit", 6, MSG_NOSIGNAL), 6);
  thread_.Settle();
  int error;
  EXPECT_EQ(ReadAll(&error).size(), kOutput);
  EXPECT_EQ(error, 0) << "the end of the file, and no reset";
  EXPECT_FALSE(owner_.closed.Get().has_value()) << "the peer may have more to say";
  peer_ = Socket();
  ASSERT_TRUE(owner_.closed.WaitFor([](const auto& closed) { return closed.has_value(); }));
  EXPECT_EQ(owner_.closed.Get()->message(), "going");
  EXPECT_EQ(owner_.runs.Get(), 0) << "bytes that came behind the end were handed out";
}

TEST_F(ConnectionEndTest, WaitsForThePeerNoLongerThanItsLimit) {
  Open();
  WriteAndClose(seconds(2));
  // The peer reads nothing while the limit passes.
  thread_.Advance(seconds(2) - Nanos(1));
  EXPECT_FALSE(owner_.closed.Get().has_value());
  thread_.Advance(Nanos(1));
  ASSERT_TRUE(owner_.closed.Get().has_value());
  EXPECT_EQ(owner_.closed.Get()->message(), "going");
}

TEST_F(ConnectionEndTest, TakesNothingMoreToWriteOnceItsOutputHasEnded) {
  Open();
  WriteAndClose(hours(1));
  // The stream has its end of file: bytes behind it would be a write error.
  MutexLock lock(handle_->output().mutex());
  EXPECT_TRUE(handle_->output().sealed());
}

}  // namespace
}  // namespace weft::internal
