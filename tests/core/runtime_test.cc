#include "weft/core/runtime.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/watched.h"
#include "weft/core/manual_clock.h"

namespace weft {
namespace {

std::shared_ptr<Runtime> NewRuntime(RuntimeOptions options = {}) {
  absl::StatusOr<std::shared_ptr<Runtime>> runtime = Runtime::Create(std::move(options));
  EXPECT_TRUE(runtime.ok()) << runtime.status();
  return *std::move(runtime);
}

TEST(Runtime, HasExactlyTheThreadsItWasAskedFor) {
  RuntimeOptions options;
  options.io_threads = 2;
  options.worker_threads = 3;
  auto runtime = NewRuntime(options);
  EXPECT_EQ(runtime->loops().size(), 2u);
  absl::StatusOr<WorkerPool*> workers = runtime->workers();
  ASSERT_TRUE(workers.ok()) << workers.status();
  EXPECT_EQ((*workers)->threads(), 3);
}

TEST(Runtime, StartsItsWorkersOnceAtTheirFirstUse) {
  auto runtime = NewRuntime();
  std::vector<std::thread> threads;
  std::vector<WorkerPool*> pools(4);
  for (size_t i = 0; i < pools.size(); ++i) {
    threads.emplace_back([&, i] { pools[i] = *runtime->workers(); });
  }
  for (std::thread& t : threads) t.join();
  for (WorkerPool* pool : pools) EXPECT_EQ(pool, pools[0]);
}

TEST(Runtime, GivesItsClockAndLogToItsLoops) {
  ManualClock clock;
  RuntimeOptions options;
  options.clock = &clock;
  options.log_level = LogLevel::kOff;
  auto runtime = NewRuntime(options);
  EXPECT_EQ(&runtime->clock(), &clock);
  EXPECT_EQ(&runtime->loops().Next().loop->clock(), &clock);
  EXPECT_FALSE(runtime->log().Wants(LogLevel::kError));
}

TEST(Runtime, IsSharedAndEndsWithTheLastReference) {
  auto runtime = NewRuntime();
  std::shared_ptr<Runtime> other = runtime;
  const std::shared_ptr<EventLoop> loop = runtime->loops().Next().loop;
  runtime.reset();
  Notification ran;
  loop->Post([&](TaskFate fate) {
    EXPECT_EQ(fate, TaskFate::kRun);
    ran.Notify();
  });
  EXPECT_TRUE(ran.Wait());
  other.reset();
  TaskFate fate = TaskFate::kRun;
  loop->Post([&](TaskFate f) { fate = f; });
  EXPECT_EQ(fate, TaskFate::kCancelled);
}

TEST(Runtime, WithoutItsOwnTheyShareNothing) {
  auto one = NewRuntime(), two = NewRuntime();
  EXPECT_NE(&one->loops(), &two->loops());
  EXPECT_NE(*one->workers(), *two->workers());
}

// The thread that drops it cannot join itself; everything ends all the same.
TEST(Runtime, MayEndOnItsOwnLoopThread) {
  for (int round = 0; round < 20; ++round) {
    auto runtime = NewRuntime();
    ASSERT_TRUE(runtime->workers().ok());
    const std::shared_ptr<EventLoop> loop = runtime->loops().Next().loop;
    loop->Post([runtime = std::move(runtime)](TaskFate) mutable {
      ASSERT_EQ(runtime.use_count(), 1);
      runtime.reset();
      // The loop lives on at least until this task's end.
      EXPECT_NE(EventLoop::Current(), nullptr);
    });
    EXPECT_TRUE(PollUntil([&] {
      TaskFate fate = TaskFate::kRun;
      Notification answered;
      loop->Post([&](TaskFate f) {
        fate = f;
        answered.Notify();
      });
      return answered.Wait() && fate == TaskFate::kCancelled;
    }));
    // Ours is the last reference when the thread that joins it is done.
    EXPECT_TRUE(PollUntil([&] { return loop.use_count() == 1; }));
  }
}

TEST(Runtime, MayEndOnItsOwnWorker) {
  for (int round = 0; round < 20; ++round) {
    auto runtime = NewRuntime();
    WorkerPool* const workers = *runtime->workers();
    const std::shared_ptr<EventLoop> loop = runtime->loops().Next().loop;
    Notification dropped;
    workers->Execute([&dropped, runtime = std::move(runtime)]() mutable {
      runtime.reset();
      dropped.Notify();
    });
    ASSERT_TRUE(dropped.Wait());
    EXPECT_TRUE(PollUntil([&] { return loop.use_count() == 1; }));
  }
}

TEST(Runtime, EndsWithWorkUnderWay) {
  auto runtime = NewRuntime();
  WorkerPool* const workers = *runtime->workers();
  std::atomic<int> ended{0};
  const auto held = std::make_shared<int>(0);
  const std::shared_ptr<EventLoop> loop = runtime->loops().Next().loop;
  for (int i = 0; i < 200; ++i) {
    // A handler that answers through its loop, which must still be there.
    workers->Execute(
        [&ended, held, loop] { loop->Post([&ended](TaskFate) { ended.fetch_add(1); }); });
  }
  runtime.reset();
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_LE(ended.load(), 200);
}

}  // namespace
}  // namespace weft
