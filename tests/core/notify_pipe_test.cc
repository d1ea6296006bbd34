// The pipe that wakes a loop, judged by the number of bytes that the kernel reports in it.
#include "weft/core/notify_pipe.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

int BytesIn(const NotifyPipe& pipe) {
  int bytes = 0;
  ::ioctl(pipe.read_fd(), FIONREAD, &bytes);
  return bytes;
}

TEST(NotifyPipe, HoldsAtMostOneByte) {
  NotifyPipe pipe;
  ASSERT_TRUE(pipe.Open().ok());
  EXPECT_EQ(BytesIn(pipe), 0);
  EXPECT_TRUE(pipe.Signal());
  EXPECT_FALSE(pipe.Signal());
  EXPECT_FALSE(pipe.Signal());
  EXPECT_EQ(BytesIn(pipe), 1);
}

TEST(NotifyPipe, CanBeSignalledAgainAfterDraining) {
  NotifyPipe pipe;
  ASSERT_TRUE(pipe.Open().ok());
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(pipe.Signal());
    pipe.Drain();
    EXPECT_EQ(BytesIn(pipe), 0);
  }
}

TEST(NotifyPipe, DrainingAnEmptyOneDoesNotBlock) {
  NotifyPipe pipe;
  ASSERT_TRUE(pipe.Open().ok());
  pipe.Drain();
  EXPECT_TRUE(pipe.Signal());
}

TEST(NotifyPipe, IsClosedInProgramsThatAreExecuted) {
  NotifyPipe pipe;
  ASSERT_TRUE(pipe.Open().ok());
  EXPECT_NE(::fcntl(pipe.read_fd(), F_GETFD) & FD_CLOEXEC, 0);
  // A loop that drains an empty pipe must not stand still.
  EXPECT_NE(::fcntl(pipe.read_fd(), F_GETFL) & O_NONBLOCK, 0);
}

TEST(NotifyPipe, ManySignallersWriteOneByteARound) {
  constexpr int kRounds = 200;
  NotifyPipe pipe;
  ASSERT_TRUE(pipe.Open().ok());
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<int> wrote{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] { wrote.fetch_add(pipe.Signal() ? 1 : 0); });
    }
    // Two of the three write nothing: they rely on the byte of the third.
    pollfd wait{pipe.read_fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&wait, 1, 30'000), 1);
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(wrote.load(), 1);
    pipe.Drain();
  }
}

}  // namespace
}  // namespace weft::internal
