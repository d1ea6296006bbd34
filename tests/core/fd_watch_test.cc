// A watch of a descriptor by the kernel's own means: refusals, a change of its listener, and
// readiness. Further cases stand beside those of the event loop.
#include "weft/core/fd_watch.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/log_lines.h"
#include "tests/support/loop_thread.h"
#include "tests/support/watched.h"

namespace weft::internal {
namespace {

using ::testing::HasSubstr;

class Recorder final : public WatchEvents {
 public:
  void OnReadable() override { readable.Notify(); }
  void OnWritable() override {}
  void OnWatchFailed(const absl::Status& why) override {
    failures.Update([&](std::vector<std::string>& all) { all.push_back(why.ToString()); });
  }
  Notification readable;
  Watched<std::vector<std::string>> failures;
};

// epoll refuses to watch a regular file, as it would refuse any descriptor for want of memory.
TEST(FdWatch, TellsWhenTheKernelRefusesToWatch) {
  auto lines = std::make_shared<LogLines>();
  EventLoopOptions options = LoopThread::Options();
  options.log = Log(lines, LogLevel::kWarning);
  LoopThread thread(options);
  const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(file, 0);
  Recorder recorder;
  FdWatch watch;
  thread.Run([&] {
    ASSERT_TRUE(watch.Start(thread.loop(), file, &recorder).ok());
    watch.WatchRead(true);
    EXPECT_TRUE(recorder.failures.Get().empty()) << "in a turn of its own";
  });
  ASSERT_TRUE(recorder.failures.WaitFor([](const auto& all) { return all.size() == 1; }));
  EXPECT_THAT(recorder.failures.Get()[0], HasSubstr("cannot watch fd"));
  EXPECT_THAT(lines->Text(), HasSubstr("libevent: Epoll ADD")) << "and libevent's line is ours";
  // A second request fails in the same way.
  thread.Run([&] { watch.WatchRead(true); });
  EXPECT_TRUE(recorder.failures.WaitFor([](const auto& all) { return all.size() == 2; }));
  thread.Run([&] {
    watch.WatchRead(true);
    watch.Stop();  // a stopped watch reports no failure
  });
  thread.Settle();
  EXPECT_EQ(recorder.failures.Get().size(), 2u);
  ::close(file);
}

TEST(FdWatch, TellsAnotherListenerFromThenOn) {
  LoopThread thread;
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  Recorder first, other;
  FdWatch watch;
  thread.Run([&] {
    ASSERT_TRUE(watch.Start(thread.loop(), ends[0], &first).ok());
    watch.WatchRead(true);
    // The listener changes before the byte comes, so only the other one may hear of it.
    watch.SetEvents(&other);
  });
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  EXPECT_TRUE(other.readable.Wait());
  thread.Run([&] { watch.Stop(); });
  EXPECT_FALSE(first.readable.HasHappened());
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(FdWatch, TellsOfWhatCanBeRead) {
  LoopThread thread;
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  Recorder recorder;
  FdWatch watch;
  thread.Run([&] {
    ASSERT_TRUE(watch.Start(thread.loop(), ends[0], &recorder).ok());
    watch.WatchRead(true);
  });
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  EXPECT_TRUE(recorder.readable.Wait());
  thread.Run([&] { watch.Stop(); });
  EXPECT_TRUE(recorder.failures.Get().empty());
  for (const int fd : ends) ::close(fd);
}

}  // namespace
}  // namespace weft::internal
