// The memory that libevent keeps for each descriptor number. The amount that malloc gives out when
// a descriptor is watched shows whether that memory was made before.
#include "weft/core/fd_slots.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>

#include <event2/event.h>
#include <gtest/gtest.h>

#include "weft/core/event_base.h"
#include "weft/core/socket.h"

namespace weft::internal {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// Sanitizers have a malloc of their own, which mallinfo2 does not count.
constexpr bool kCountsMemory = false;
#else
constexpr bool kCountsMemory = true;
#endif

int OpenDescriptors() {
  int count = 0;
  DIR* const all = ::opendir("/proc/self/fd");
  while (::readdir(all) != nullptr) ++count;
  ::closedir(all);
  return count;
}

// Returns a copy of `fd` with the number `number`, or with the next number that is free.
Socket CopyAt(int fd, int number) { return Socket(::fcntl(fd, F_DUPFD_CLOEXEC, number)); }

class FdSlotsTest : public testing::Test {
 protected:
  FdSlotsTest() {
    auto base = EventBase::New();
    EXPECT_TRUE(base.ok());
    base_.reset(*base);
    std::array<int, 2> pair{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
    one_ = Socket(pair[0]);
    other_ = Socket(pair[1]);
  }
  void Cover(int fd) WEFT_NO_THREAD_ANALYSIS { slots_.Cover(base_.get(), one_.fd(), fd); }

  // Watches the descriptor. Returns the bytes that malloc gave out for it, and sets `*told` if the
  // watch noticed a byte.
  size_t Watch(int fd, bool* told) {
    *told = false;
    event* const watch = event_new(
        base_.get(), fd, EV_READ, [](int, short, void* to) { *static_cast<bool*>(to) = true; },
        told);
    const size_t before = mallinfo2().uordblks;
    EXPECT_EQ(event_add(watch, nullptr), 0);
    const size_t after = mallinfo2().uordblks;
    EXPECT_EQ(::write(other_.fd(), "x", 1), 1);
    event_base_loop(base_.get(), EVLOOP_ONCE | EVLOOP_NONBLOCK);
    char byte;
    EXPECT_EQ(::read(fd, &byte, 1), 1);
    event_free(watch);
    return after - before;
  }

  struct FreeBase {
    void operator()(event_base* base) const { event_base_free(base); }
  };
  std::unique_ptr<event_base, FreeBase> base_;
  Socket one_, other_;
  FdSlots slots_;
};

TEST_F(FdSlotsTest, AreMadeForAWholeGroupAtOnce) {
  const Socket taken = CopyAt(one_.fd(), 700);  // in use before Cover, as an accepted connection is
  Cover(600);
  // All three are in the group from 512 to 1023: its first number, the number it was made for, and
  // one near its end.
  for (int number : {512, 600, 1000}) {
    const Socket copy = CopyAt(one_.fd(), number);
    bool told;
    const size_t made = Watch(copy.fd(), &told);
    EXPECT_TRUE(told);
    if (kCountsMemory) {
      EXPECT_EQ(made, 0u) << number;
    }
  }
  bool told;
  const size_t made = Watch(taken.fd(), &told);
  EXPECT_TRUE(told);
  if (kCountsMemory) {
    EXPECT_EQ(made, 0u);
  }
}

TEST_F(FdSlotsTest, OfOtherGroupsAreLibeventsToMake) {
  Cover(600);
  // Cover makes nothing for a number below kFirst. 400 is in the group from 128 on, which nobody
  // has asked for.
  Cover(FdSlots::kFirst - 1);
  const Socket copy = CopyAt(one_.fd(), 400);
  bool told;
  const size_t made = Watch(copy.fd(), &told);
  EXPECT_TRUE(told);
  if (kCountsMemory) {
    EXPECT_GT(made, 0u);
  }
}

TEST_F(FdSlotsTest, KeepNoDescriptor) {
  const int before = OpenDescriptors();
  Cover(FdSlots::kFirst);
  Cover(600);
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_F(FdSlotsTest, LeaveDescriptorsThatAreNoSocketsAlone) {
  const Socket file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  const Socket copy = CopyAt(file.fd(), 650);
  // epoll refuses a regular file, and libevent writes a line for it.
  testing::internal::CaptureStderr();
  Cover(600);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace weft::internal
