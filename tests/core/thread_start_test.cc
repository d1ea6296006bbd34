// Threads that cannot be started: by a fault that concerns one thread's starts, or by a lack that
// concerns the whole process. Every part that starts threads is made with each of them failing.
#include "weft/core/thread_start.h"

#include <pthread.h>

#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/log_lines.h"
#include "tests/support/process_resources.h"
#include "tests/support/watched.h"
#include "weft/core/acceptor.h"
#include "weft/core/loop_group.h"
#include "weft/core/runtime.h"
#include "weft/core/thread_start_fault.h"
#include "weft/core/worker_pool.h"

namespace weft::internal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(ThreadStart, RunsTheBodyOnAThreadOfThatName) {
  std::string name;
  absl::StatusOr<std::thread> thread = StartThread("a-name-that-is-too-long", [&] {
    char buffer[16] = {};
    ::pthread_getname_np(::pthread_self(), buffer, sizeof buffer);
    name = buffer;
  });
  ASSERT_TRUE(thread.ok()) << thread.status();
  thread->join();
  EXPECT_EQ(name, "a-name-that-is-");
}

TEST(ThreadStart, NamesItsThreadWithoutADescriptor) {
  std::string name;
  // To name another thread would open a file of /proc, and no descriptor is left for that.
  const FewDescriptors none(0);
  absl::StatusOr<std::thread> thread = StartThread("named", [&] {
    char buffer[16] = {};
    ::pthread_getname_np(::pthread_self(), buffer, sizeof buffer);
    name = buffer;
  });
  ASSERT_TRUE(thread.ok()) << thread.status();
  thread->join();
  EXPECT_EQ(name, "named");
}

TEST(ThreadStart, SaysWhatLimitsThreadsWhereThereAreNone) {
  const NoThreads none;
  absl::StatusOr<std::thread> thread = StartThread("x", [] { FAIL(); });
  ASSERT_FALSE(thread.ok());
  EXPECT_TRUE(absl::IsResourceExhausted(thread.status())) << thread.status();
  EXPECT_THAT(
      std::string(thread.status().message()),
      AllOf(HasSubstr("cannot start thread x"), HasSubstr("RLIMIT_NPROC"), HasSubstr("pids.max")));
}

TEST(ThreadStartFault, ConcernsItsThreadAlone) {
  const ThreadStartFault fault(0);
  EXPECT_FALSE(StartThread("x", [] {}).ok());
  std::thread([] {
    absl::StatusOr<std::thread> thread = StartThread("y", [] {});
    ASSERT_TRUE(thread.ok());
    thread->join();
  }).join();
  EXPECT_EQ(fault.failed(), 1);
}

// Calls `make`, which starts `threads` threads, with each of these starts failing in turn.
template <typename Make>
void FailEachStart(int threads, Make make) {
  const int threads_before = RunningThreads();
  const int descriptors_before = OpenDescriptors();
  for (int after = 0; after < threads; ++after) {
    const ThreadStartFault fault(after);
    const absl::Status made = make();
    EXPECT_TRUE(absl::IsResourceExhausted(made)) << "after " << after << ": " << made;
    EXPECT_EQ(fault.failed(), 1);
    // The threads that were started before the failure have been joined.
    EXPECT_TRUE(HasThreads(threads_before)) << "after " << after << ": " << RunningThreads();
    EXPECT_EQ(OpenDescriptors(), descriptors_before) << "after " << after;
  }
  // With room for exactly that many starts everything succeeds, so `threads` was the right number
  // above.
  const ThreadStartFault enough(threads);
  EXPECT_TRUE(make().ok());
  EXPECT_EQ(enough.failed(), 0);
}

TEST(ThreadStart, ARuntimeThatLacksOneLeavesNothingBehind) {
  FailEachStart(3, [] {
    RuntimeOptions options;
    options.io_threads = 3;
    return Runtime::Create(options).status();
  });
}

TEST(ThreadStart, AWorkerPoolThatLacksOneLeavesNothingBehind) {
  FailEachStart(4, [] {
    WorkerPoolOptions options;
    options.threads = 3;
    options.max_threads = 5;  // the supervisor is a thread more
    return WorkerPool::Create(options).status();
  });
}

TEST(ThreadStart, AnAcceptorThatLacksItsThreadLeavesNothingBehind) {
  FailEachStart(1,
                [] { return Acceptor::Create({}, [](Socket, const SocketAddress&) {}).status(); });
}

TEST(ThreadStart, APoolThatLackedAThreadIsStartedByTheNextCall) {
  auto runtime = Runtime::Create();
  ASSERT_TRUE(runtime.ok());
  {
    // The third of its workers fails to start.
    const ThreadStartFault fault(2);
    EXPECT_TRUE(absl::IsResourceExhausted((*runtime)->workers().status()));
  }
  EXPECT_TRUE((*runtime)->workers().ok());
}

TEST(ThreadStart, APoolThatCannotGrowSaysSoOnceAndGoesOn) {
  auto lines = std::make_shared<LogLines>();
  WorkerPoolOptions options;
  options.threads = 1;
  options.max_threads = 2;
  options.log = Log(lines, LogLevel::kWarning);
  auto pool = WorkerPool::Create(options);
  ASSERT_TRUE(pool.ok()) << pool.status();
  Notification release;
  Watched<int> ran{0};
  {
    // This lack concerns the whole process: the pool grows on a thread of its own, which a fault of
    // this thread would not reach.
    const NoThreads none;
    (*pool)->Execute([&] { EXPECT_TRUE(release.Wait()); });
    (*pool)->Execute([&] { ran.Set(1); });
    EXPECT_TRUE(PollUntil([&] { return lines->Count() > 0; }));
    EXPECT_THAT(lines->Text(), AllOf(HasSubstr("worker pool workers: all of its 1 threads"),
                                     HasSubstr("cannot start thread workers1")));
  }
  // The pool tries again, and the second item then runs beside the first, which is blocked.
  EXPECT_TRUE(ran.WaitFor([](int k) { return k == 1; }));
  EXPECT_EQ(lines->Count(), 1u);
  release.Notify();
}

// The thread that drops the runtime cannot join itself, and no other thread can be started.
TEST(ThreadStart, ARuntimeThatCannotEndTriesAgain) {
  auto lines = std::make_shared<LogLines>();
  RuntimeOptions options;
  options.log_sink = lines;
  auto made = Runtime::Create(options);
  ASSERT_TRUE(made.ok());
  std::shared_ptr<Runtime> runtime = *std::move(made);
  const std::shared_ptr<EventLoop> loop = runtime->loops().Next().loop;
  Notification tried;
  loop->Post([&tried, last = std::move(runtime)](TaskFate) mutable {
    // The fault holds for the loop's thread until this task returns, so the second try succeeds.
    const ThreadStartFault fault(0);
    last.reset();
    EXPECT_EQ(fault.failed(), 1);
    tried.Notify();
  });
  EXPECT_TRUE(tried.Wait());
  EXPECT_TRUE(PollUntil([&] { return loop.use_count() == 1; }));
  EXPECT_THAT(lines->Text(), HasSubstr("a runtime cannot end its threads: cannot start thread"));
}

}  // namespace
}  // namespace weft::internal
