// A runtime's threads and its shared parts, a runtime that is stepped by the test's own thread, and
// the end of a runtime on the thread that drops it last.
#include "weft/core/runtime.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/watched.h"
#include "weft/core/loop_group.h"
#include "weft/core/manual_clock.h"
#include "weft/core/random_bits.h"
#include "weft/core/step_set.h"
#include "weft/core/timer.h"
#include "weft/core/worker_pool.h"

namespace weft::internal {
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

// Steps the first ready one again and again, until none is ready.
void StepAll(StepSet& steps) {
  for (;;) {
    std::vector<Steppable*> ready;
    steps.AppendReady(&ready);
    if (ready.empty()) return;
    steps.Step(*ready.front());
  }
}

class SteppedRuntime : public testing::Test {
 protected:
  // The runtime has two loops, and workers once they are asked for, all on the test's thread.
  SteppedRuntime() {
    RuntimeOptions options;
    options.io_threads = 2;
    options.clock = &clock_;
    options.seed = 3;
    options.steps = steps_;
    runtime_ = NewRuntime(options);
  }

  ManualClock clock_;
  const std::shared_ptr<StepSet> steps_ = std::make_shared<StepSet>();
  std::shared_ptr<Runtime> runtime_;
};

TEST_F(SteppedRuntime, RunsOnTheThreadThatStepsIt) {
  const std::thread::id here = std::this_thread::get_id();
  EventLoop& loop = *runtime_->loops().At(1).loop;
  std::vector<std::string> seen;
  loop.Post([&](TaskFate) {
    EXPECT_TRUE(loop.InLoop());
    seen.push_back(std::this_thread::get_id() == here ? "loop here" : "loop elsewhere");
  });
  WorkerPool& pool = **runtime_->workers();
  pool.Execute([&] {
    EXPECT_TRUE(pool.InPool() && !loop.InLoop());
    seen.push_back(std::this_thread::get_id() == here ? "worker here" : "worker elsewhere");
  });
  EXPECT_TRUE(seen.empty());
  StepAll(*steps_);
  EXPECT_EQ(seen, (std::vector<std::string>{"loop here", "worker here"}));
  EXPECT_EQ(EventLoop::Current(), nullptr);
}

TEST_F(SteppedRuntime, GoesByItsClockAlone) {
  EventLoop& loop = *runtime_->loops().At(0).loop;
  int fired = 0;
  auto timer = std::make_shared<Timer>(loop, [&] { ++fired; });
  loop.Post([timer](TaskFate) { timer->StartAfter(std::chrono::seconds(5)); });
  // Nothing is ready any more: the timer waits for the clock.
  StepAll(*steps_);
  EXPECT_EQ(steps_->next_step(), clock_.Now() + std::chrono::seconds(5));
  EXPECT_EQ(fired, 0);
  clock_.Advance(absl::Seconds(5));
  StepAll(*steps_);
  EXPECT_EQ(fired, 1);
  EXPECT_EQ(steps_->next_step(), kNever);
}

TEST_F(SteppedRuntime, DrawsWhatItsSeedSays) {
  RandomSource same(3);
  uint64_t drawn = 0;
  runtime_->loops().At(0).loop->Post([&](TaskFate) { drawn = RandomSeed(); });
  StepAll(*steps_);
  // The source has given no number before, so the first one comes.
  EXPECT_EQ(drawn, same.Next());
}

TEST_F(SteppedRuntime, MayEndInAStepOfItsOwn) {
  EventLoop& loop = *runtime_->loops().At(0).loop;
  bool told = false;
  loop.Post([&, last = std::move(runtime_)](TaskFate) mutable {
    loop.Post([&told](TaskFate fate) { told = fate == TaskFate::kCancelled; });
    last.reset();
    // The loop is inside its step, and closes behind it.
    EXPECT_FALSE(told);
  });
  StepAll(*steps_);
  EXPECT_TRUE(told);
  std::vector<Steppable*> ready;
  steps_->AppendReady(&ready);
  EXPECT_TRUE(ready.empty());
}

TEST(Runtime, StartsItsWorkersOnceAtTheirFirstUse) {
  auto runtime = NewRuntime();
  std::vector<std::thread> threads;
  std::vector<WorkerPool*> pools(4);
  // All threads ask at once: if each started a pool they would get different ones.
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
  // The other reference keeps the loop running.
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

// The thread that drops the runtime cannot join itself. The runtime must end all the same.
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
    // Once the joining thread is done, the test has the last reference.
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
    // A short-lived thread joins the worker. The only sign of its end is the reference that it
    // drops.
    EXPECT_TRUE(PollUntil([&] { return loop.use_count() == 1; }));
  }
}

// Says that the pool takes nothing any more: a closure is destroyed inside Execute, and not run.
bool HasStopped(WorkerPool& pool) {
  const auto ran = std::make_shared<std::atomic<bool>>(false);
  pool.Execute([ran] { ran->store(true); });
  return ran.use_count() == 1 && !ran->load();
}

TEST(Runtime, EndsWithWorkUnderWay) {
  auto runtime = NewRuntime();
  WorkerPool* const workers = *runtime->workers();
  const std::shared_ptr<EventLoop> loop = runtime->loops().Next().loop;
  Notification inside;
  std::optional<TaskFate> answer;
  // This stands for a handler that answers through its loop when the runtime is ending already.
  workers->Execute([&, loop] {
    inside.Notify();
    EXPECT_TRUE(PollUntil([&] { return HasStopped(*workers); }));
    Notification told;
    loop->Post([&](TaskFate fate) {
      answer = fate;
      told.Notify();
    });
    EXPECT_TRUE(told.Wait());
  });
  ASSERT_TRUE(inside.Wait());
  std::atomic<int> ran{0}, posts_ended{0};
  const auto held = std::make_shared<int>(0);
  // The other workers are among these when the end begins.
  for (int i = 0; i < 200; ++i) {
    workers->Execute([&, held, loop] {
      ran.fetch_add(1);
      loop->Post([&posts_ended](TaskFate) { posts_ended.fetch_add(1); });
    });
  }
  runtime.reset();
  EXPECT_EQ(answer, TaskFate::kRun) << "the loop has to outlive the workers";
  // Each closure has run or was destroyed by now.
  EXPECT_EQ(held.use_count(), 1);
  // No answer of a closure that has run is lost.
  EXPECT_EQ(posts_ended.load(), ran.load());
}

}  // namespace
}  // namespace weft::internal
