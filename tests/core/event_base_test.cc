// An event_base in a process with hardly any descriptors left, and the destination of libevent's
// log lines. A test that takes the descriptors takes them from all threads of this process.
#include "weft/core/event_base.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <event2/event.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/log_lines.h"
#include "tests/support/process_resources.h"
#include "weft/core/event_loop.h"
#include "weft/core/thread_log.h"

namespace weft::internal {
namespace {

using ::testing::HasSubstr;

// libevent ends the process when it gets the first of its descriptors and not the others.
TEST(EventBase, IsRefusedWhereDescriptorsAreFewInsteadOfEndingTheProcess) {
  const int before = OpenDescriptors();
  // The loop goes beyond the need of a base, so that both outcomes are seen.
  for (int left = 0; left <= 20; ++left) {
    absl::StatusOr<event_base*> base = nullptr;
    {
      const FewDescriptors few(left);
      base = EventBase::New();
    }
    if (base.ok()) {
      EXPECT_GE(left, EventBase::kDescriptors + EventBase::kSpare);
      event_base_free(*base);
    } else {
      EXPECT_LT(left, EventBase::kDescriptors + EventBase::kSpare);
      EXPECT_TRUE(absl::IsResourceExhausted(base.status())) << base.status();
      EXPECT_THAT(std::string(base.status().message()), HasSubstr("RLIMIT_NOFILE"));
    }
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(EventBase, UsesEpollAlone) {
  absl::StatusOr<event_base*> base = EventBase::New();
  ASSERT_TRUE(base.ok()) << base.status();
  EXPECT_STREQ(event_base_get_method(*base), "epoll");
  event_base_free(*base);
}

// Several threads may make a Runtime each at the same time: they share libevent's list of back
// ends.
TEST(EventBase, SeveralAreMadeAtOnce) {
  std::atomic<int> made{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&made] {
      for (int i = 0; i < 2000; ++i) {
        absl::StatusOr<event_base*> base = EventBase::New();
        if (!base.ok()) continue;
        event_base_free(*base);
        made.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(made.load(), 4 * 2000);
}

// Other threads take and give back descriptors while bases are made with hardly enough of them.
TEST(EventBase, OtherThreadsMayTakeDescriptorsMeanwhile) {
  std::atomic<bool> stop{false};
  {
    // Two descriptors are to spare, and the other threads hold up to six, so some bases are
    // refused.
    const FewDescriptors few(EventBase::kDescriptors + EventBase::kSpare + 2);
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        while (!stop.load()) {
          const int fds[] = {::open("/dev/null", O_RDONLY | O_CLOEXEC),
                             ::open("/dev/null", O_RDONLY | O_CLOEXEC)};
          for (const int fd : fds) {
            if (fd >= 0) ::close(fd);
          }
        }
      });
    }
    for (int i = 0; i < 500; ++i) {
      absl::StatusOr<event_base*> base = EventBase::New();
      if (!base.ok()) continue;
      event_base_free(*base);
    }
    stop.store(true);
    for (std::thread& t : threads) t.join();
  }
  // This process must still be alive, whoever got the descriptors.
  absl::StatusOr<event_base*> base = EventBase::New();
  ASSERT_TRUE(base.ok()) << base.status();
  event_base_free(*base);
}

TEST(EventBase, AnEventLoopIsMadeOrRefusedAndLeavesNothing) {
  const int before = OpenDescriptors();
  int made = 0;
  // A loop has a pipe and a timerfd beside its base: it fails at each of them in turn.
  for (int left = 0; left <= 24; ++left) {
    const FewDescriptors few(left);
    absl::StatusOr<std::unique_ptr<EventLoop>> loop = EventLoop::Create({});
    if (loop.ok()) {
      ++made;
    } else {
      EXPECT_TRUE(absl::IsResourceExhausted(loop.status())) << loop.status();
      EXPECT_THAT(std::string(loop.status().message()), HasSubstr("RLIMIT_NOFILE"));
    }
  }
  EXPECT_GT(made, 0);
  EXPECT_EQ(OpenDescriptors(), before);
}

// Makes libevent write a line: a loop that is run inside itself.
void MakeLibeventComplain(event_base* base) {
  const auto nested = [](int, short, void* self) {
    event_base_loop(static_cast<event_base*>(self), EVLOOP_NONBLOCK);
  };
  event* const once = event_new(base, -1, 0, nested, base);
  event_active(once, EV_READ, 0);
  event_base_loop(base, EVLOOP_NONBLOCK);
  event_free(once);
}

TEST(EventBase, LinesOfLibeventGoToTheLogOfTheRuntimeAtWork) {
  absl::StatusOr<event_base*> base = EventBase::New();
  ASSERT_TRUE(base.ok()) << base.status();
  auto lines = std::make_shared<LogLines>();
  const Log log(lines, LogLevel::kWarning);
  testing::internal::CaptureStderr();
  {
    const ThreadLog at_work(log);
    for (int i = 0; i < 1'000; ++i) MakeLibeventComplain(*base);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_THAT(lines->Text(), HasSubstr("libevent: event_base_loop: reentrant invocation"));
  // The limit holds for each second: three times as many lines allow for a slow run.
  EXPECT_LE(lines->Count(), 3u * Log::kForeignLines) << "thinned out";
  event_base_free(*base);
}

// An application may use libevent itself.
TEST(EventBase, LinesOfOtherThreadsGoWhereLibeventPutsThem) {
  absl::StatusOr<event_base*> base = EventBase::New();
  ASSERT_TRUE(base.ok()) << base.status();
  testing::internal::CaptureStderr();
  MakeLibeventComplain(*base);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("[warn] event_base_loop: reentrant invocation"));
  event_base_free(*base);
}

}  // namespace
}  // namespace weft::internal
