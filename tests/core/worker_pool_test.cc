// Workers of a pool: order, wake-ups under stress, growth and shrinking, Stop at any moment, and
// threads that wait for workers inside an item.
#include "weft/core/worker_pool.h"

#include <atomic>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/watched.h"
#include "weft/core/gate.h"

namespace weft::internal {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

std::unique_ptr<WorkerPool> NewPool(WorkerPoolOptions options) {
  absl::StatusOr<std::unique_ptr<WorkerPool>> pool = WorkerPool::Create(std::move(options));
  EXPECT_TRUE(pool.ok()) << pool.status();
  return *std::move(pool);
}

std::unique_ptr<WorkerPool> PoolOf(int threads) {
  WorkerPoolOptions options;
  options.threads = threads;
  return NewPool(options);
}

// Counts how often it was run and cancelled; calls the function of a test when run.
class Item final : public WorkItem {
 public:
  Item() = default;
  explicit Item(std::function<void()> f) : on_run(std::move(f)) {}
  void Run(int w) override {
    worker = w;
    if (on_run) on_run();
    runs.fetch_add(1);
  }
  void Cancel() override { cancels.fetch_add(1); }
  int ends() const { return runs.load() + cancels.load(); }
  std::function<void()> on_run;
  int worker = -1;
  std::atomic<int> runs{0}, cancels{0};
};

bool Submit(WorkerPool& pool, Item& item) {
  WorkItem* one = &item;
  return pool.TrySubmit(&one, 1) == 1;
}

// Items that stand inside a worker until they are let go.
class Blockers {
 public:
  explicit Blockers(int n) {
    for (int i = 0; i < n; ++i) {
      items_.push_back(std::make_unique<Item>([this] {
        inside_.Update([](int& k) { ++k; });
        EXPECT_TRUE(go_.Wait());
      }));
    }
  }
  // Waits until all of them have left the pool or were cancelled.
  ~Blockers() {
    EXPECT_TRUE(PollUntil([&] {
      for (auto& item : items_) {
        if (item->ends() == 0) return false;
      }
      return true;
    }));
  }
  void SubmitAll(WorkerPool& pool) {
    for (auto& item : items_) ASSERT_TRUE(Submit(pool, *item));
  }
  [[nodiscard]] bool AwaitInside(int n) {
    return inside_.WaitFor([n](int k) { return k >= n; });
  }
  void LetGo() { go_.Notify(); }

 private:
  std::vector<std::unique_ptr<Item>> items_;
  Watched<int> inside_{0};
  Notification go_;
};

TEST(WorkerPool, RunsWhatOneWorkerIsGivenInOrder) {
  auto pool = PoolOf(1);
  constexpr int kItems = 1'000;
  std::vector<int> order;
  Watched<int> done{0};
  std::vector<std::unique_ptr<Item>> items;
  for (int i = 0; i < kItems; ++i) {
    items.push_back(std::make_unique<Item>([&, i] {
      order.push_back(i);
      done.Update([](int& n) { ++n; });
    }));
    ASSERT_TRUE(Submit(*pool, *items.back()));
  }
  ASSERT_TRUE(done.WaitForValue(kItems));
  for (int i = 0; i < kItems; ++i) ASSERT_EQ(order[i], i);
  pool->Stop();
}

// `kept` is a plain array on purpose: if ForEachIdle let a worker run meanwhile, the thread
// sanitizer would report the race.
TEST(WorkerPool, LetsAnotherThreadTouchWhatIdleWorkersKeep) {
  auto pool = PoolOf(3);
  const auto idle = [&pool] {
    std::set<int> workers;
    pool->ForEachIdle([&](int worker) { workers.insert(worker); });
    return workers;
  };
  EXPECT_TRUE(PollUntil([&] { return idle().size() == 3; }));
  {
    Watched<int> inside{-1};
    Notification go;
    Item item([&] {
      inside.Update([&](int& worker) { worker = item.worker; });
      EXPECT_TRUE(go.Wait());
    });
    ASSERT_TRUE(Submit(*pool, item));
    ASSERT_TRUE(inside.WaitFor([](int worker) { return worker >= 0; }));
    EXPECT_FALSE(idle().contains(item.worker));
    go.Notify();
    EXPECT_TRUE(PollUntil([&] { return idle().size() == 3; }));
  }
  // ForEachIdle sees the writes of the item before it, and the next item sees those of ForEachIdle.
  int kept[3] = {};
  for (int round = 0; round < 200; ++round) {
    Item item([&] { ++kept[item.worker]; });
    ASSERT_TRUE(Submit(*pool, item));
    pool->ForEachIdle([&](int worker) { ++kept[worker]; });
    ASSERT_TRUE(PollUntil([&] { return item.ends() == 1; }));
  }
  pool->Stop();
}

// A worker that is called to give back pages is not idle, and takes no wake-up of an item. If the
// pool mixed up the two, an item would stay in the queue.
TEST(WorkerPool, IdleWorkersAreCalledForFreePagesBesideItems) {
  auto pool = PoolOf(3);
  for (int round = 0; round < 300; ++round) {
    Item items[2];
    ASSERT_TRUE(Submit(*pool, items[0]));
    pool->GiveBackFreePages({0, 1, 2});
    ASSERT_TRUE(Submit(*pool, items[1]));
    ASSERT_TRUE(PollUntil([&] { return items[0].runs == 1 && items[1].runs == 1; })) << round;
  }
  EXPECT_TRUE(PollUntil([&] {
    int idle = 0;
    pool->ForEachIdle([&](int) { ++idle; });
    return idle == 3;
  }));
  pool->GiveBackFreePages({0, 1, 2});
  pool->Stop();
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(WorkerPool, AnIdleWorkerGivesBackWhatOnlyItsThreadWouldGetFromMalloc) {
  auto pool = PoolOf(1);
  const auto resident = [] {
    long size = 0, pages = 0;
    std::ifstream("/proc/self/statm") >> size >> pages;
    return pages * 4096;
  };
  constexpr long kBytes = 32 << 20;
  std::unique_ptr<std::string> lives;
  std::vector<std::string> burst;
  Item item([&] {
    while (burst.size() < kBytes / 1000) burst.emplace_back(1000, 'b');
    // This piece lies above the burst in the heap, so malloc alone would give nothing back.
    lives = std::make_unique<std::string>(1000, 'l');
  });
  ASSERT_TRUE(Submit(*pool, item));
  ASSERT_TRUE(PollUntil([&] { return item.ends() == 1; }));
  burst.clear();
  const long before = resident();
  EXPECT_TRUE(PollUntil([&] {
    pool->GiveBackFreePages({0});
    return resident() < before - kBytes * 3 / 4;
  }));
  pool->Stop();
}
#endif

TEST(WorkerPool, RefusesWhatDoesNotFitAndSaysHowManyDo) {
  WorkerPoolOptions options;
  options.threads = 1;
  options.queue_limit = 3;
  auto pool = NewPool(options);
  EXPECT_EQ(pool->queue_limit(), 3u);
  Blockers blocker(1);
  blocker.SubmitAll(*pool);
  // The only worker is held, so nothing leaves the queue.
  ASSERT_TRUE(blocker.AwaitInside(1));
  Item items[5];
  WorkItem* list[5];
  for (int i = 0; i < 5; ++i) list[i] = &items[i];
  EXPECT_EQ(pool->TrySubmit(list, 5), 3u);
  EXPECT_EQ(pool->queued(), 3u);
  // The refused ones stand at the end of the list.
  EXPECT_EQ(pool->TrySubmit(list + 3, 2), 0u);
  EXPECT_EQ(pool->TrySubmit(list + 3, 0), 0u);
  blocker.LetGo();
  EXPECT_TRUE(PollUntil([&] { return items[2].runs.load() == 1; }));
  pool->Stop();
  EXPECT_EQ(items[3].ends() + items[4].ends(), 0) << "a refused item stays the caller's";
}

TEST(WorkerPool, AWorkerBlockedHoldsUpNobody) {
  auto pool = PoolOf(2);
  Blockers blocker(1);
  blocker.SubmitAll(*pool);
  ASSERT_TRUE(blocker.AwaitInside(1));
  for (int i = 0; i < 200; ++i) {
    Notification ran;
    Item item([&] { ran.Notify(); });
    ASSERT_TRUE(Submit(*pool, item));
    ASSERT_TRUE(ran.Wait());
    // The item is on this stack: `ran` comes from inside Run, which has to have returned.
    ASSERT_TRUE(PollUntil([&] { return item.runs.load() == 1; }));
  }
  blocker.LetGo();
  pool->Stop();
}

TEST(WorkerPool, OneWakeUpOfABatchSetsAllWorkersToWork) {
  auto pool = PoolOf(4);
  for (int round = 0; round < 50; ++round) {
    // All four must be inside at once before any of them ends.
    Watched<int> inside{0};
    std::vector<std::unique_ptr<Item>> items;
    std::vector<WorkItem*> batch;
    for (int i = 0; i < 4; ++i) {
      items.push_back(std::make_unique<Item>([&] {
        inside.Update([](int& n) { ++n; });
        EXPECT_TRUE(inside.WaitForValue(4));
      }));
      batch.push_back(items.back().get());
    }
    ASSERT_EQ(pool->TrySubmit(batch.data(), batch.size()), 4u);
    for (auto& item : items) {
      ASSERT_TRUE(PollUntil([&] { return item->runs.load() == 1; }));
    }
  }
}

// The wake-up protocol under stress: submitters wait for the end of their item before the next,
// while one worker is blocked for good. A lost wake-up stays lost, and the test hangs.
TEST(WorkerPool, LosesNoWakeUp) {
  auto pool = PoolOf(4);
  Blockers blocker(1);
  blocker.SubmitAll(*pool);
  ASSERT_TRUE(blocker.AwaitInside(1));
  std::vector<std::thread> submitters;
  for (int s = 0; s < 3; ++s) {
    submitters.emplace_back([&, s] {
      for (int i = 0; i < 3'000; ++i) {
        Parker ended;
        if ((i + s) % 3 == 0) {
          pool->Execute([&] { ended.Unpark(); });
          ASSERT_TRUE(ended.ParkFor(kTestPatience));
        } else {
          Item item([&] { ended.Unpark(); });
          ASSERT_TRUE(Submit(*pool, item));
          ASSERT_TRUE(ended.ParkFor(kTestPatience));
          // The item counts its run after its closure, and must not be destroyed before that.
          while (item.runs.load() == 0) std::this_thread::yield();
        }
      }
    });
  }
  for (std::thread& t : submitters) t.join();
  blocker.LetGo();
  pool->Stop();
}

TEST(WorkerPool, EndsEachItemOnceWhateverHappensMeanwhile) {
  for (int round = 0; round < 30; ++round) {
    WorkerPoolOptions options;
    options.threads = 2;
    options.queue_limit = 16;
    auto pool = NewPool(options);
    constexpr int kSubmitters = 3, kItems = 300;
    std::vector<std::unique_ptr<Item>> items;
    std::vector<char> accepted(kSubmitters * kItems);
    for (int i = 0; i < kSubmitters * kItems; ++i) items.push_back(std::make_unique<Item>());
    std::atomic<int> submitted{0};
    std::vector<std::thread> submitters;
    for (int s = 0; s < kSubmitters; ++s) {
      submitters.emplace_back([&, s] {
        for (int i = s * kItems; i < (s + 1) * kItems; ++i) {
          accepted[i] = Submit(*pool, *items[i]) ? 1 : 0;
          submitted.fetch_add(1);
        }
      });
    }
    // Stop comes at another point of the submissions in each round, the first time before them.
    while (submitted.load() < round * 10) std::this_thread::yield();
    pool->Stop();
    for (std::thread& t : submitters) t.join();
    for (int i = 0; i < kSubmitters * kItems; ++i) ASSERT_EQ(items[i]->ends(), accepted[i]) << i;
    EXPECT_EQ(pool->queued(), 0u);
  }
}

TEST(WorkerPool, StopWaitsForRunningItemsAndCancelsQueuedOnes) {
  auto pool = PoolOf(1);
  Blockers blocker(1);
  blocker.SubmitAll(*pool);
  ASSERT_TRUE(blocker.AwaitInside(1));
  Item queued[3];
  for (Item& item : queued) ASSERT_TRUE(Submit(*pool, item));
  std::thread stopper([&] { pool->Stop(); });
  blocker.LetGo();
  stopper.join();
  // Stop and the end of the blocker race, so an item was either run or cancelled.
  for (Item& item : queued) EXPECT_EQ(item.ends(), 1);
  // A second Stop is harmless.
  pool->Stop();
  Item late;
  Submit(*pool, late);
  EXPECT_EQ(late.cancels.load(), 1) << "it was accepted, so it is cancelled";
  EXPECT_EQ(late.runs.load(), 0);
}

TEST(WorkerPool, CancelsAllThatIsQueuedExactlyOnce) {
  auto pool = PoolOf(1);
  Item queued[10];
  // The only worker stands in this item while Stop is called from outside, and Stop waits for it.
  // So a submission that comes after Stop has begun cancels the queued items; the item submits
  // `last` again and again for that.
  Notification inside;
  Item last;
  Item blocker([&] {
    inside.Notify();
    EXPECT_TRUE(PollUntil([&] {
      if (last.ends() == 0) (void)Submit(*pool, last);
      return queued[9].cancels.load() == 1;
    }));
  });
  ASSERT_TRUE(Submit(*pool, blocker));
  ASSERT_TRUE(inside.Wait());
  for (Item& item : queued) EXPECT_TRUE(Submit(*pool, item));
  pool->Stop();
  for (Item& item : queued) {
    EXPECT_EQ(item.cancels.load(), 1);
    EXPECT_EQ(item.runs.load(), 0);
  }
}

// The only worker stands in a blocker while all three are queued, so the queue decides the order
// and no race does.
TEST(WorkerPool, ServesWhatGoesOnBeforeWhatIsNew) {
  auto pool = PoolOf(1);
  Blockers blocker(1);
  blocker.SubmitAll(*pool);
  ASSERT_TRUE(blocker.AwaitInside(1));
  Watched<std::vector<int>> order;
  const auto note = [&](int n) { order.Update([n](auto& v) { v.push_back(n); }); };
  Item fresh([&] { note(3); });
  ASSERT_TRUE(Submit(*pool, fresh));
  pool->Execute([&] { note(1); });
  pool->Execute([&] { note(2); });
  EXPECT_EQ(pool->queued(), 3u);
  blocker.LetGo();
  ASSERT_TRUE(order.WaitFor([](const auto& v) { return v.size() == 3; }));
  EXPECT_EQ(order.Get(), (std::vector<int>{1, 2, 3}));
  pool->Stop();
}

TEST(WorkerPool, WhatGoesOnIsNotBoundByTheQueue) {
  WorkerPoolOptions options;
  options.threads = 1;
  options.queue_limit = 1;
  auto pool = NewPool(options);
  Watched<int> ran{0};
  // A step of a coroutine must not be refused: its call could never end.
  for (int i = 0; i < 1'000; ++i) pool->Execute([&] { ran.Update([](int& n) { ++n; }); });
  EXPECT_TRUE(ran.WaitForValue(1'000));
}

TEST(WorkerPool, DestroysAClosureThatComesTooLate) {
  auto pool = PoolOf(1);
  pool->Stop();
  auto held = std::make_shared<int>(0);
  bool ran = false;
  pool->Execute([held, &ran] { ran = true; });
  EXPECT_FALSE(ran);
  // The closure has gone when Execute returns, with all that it held.
  EXPECT_EQ(held.use_count(), 1);
}

TEST(WorkerPool, NumbersItsWorkersAndKnowsThem) {
  auto pool = PoolOf(3);
  auto other = PoolOf(1);
  EXPECT_EQ(pool->threads(), 3);
  EXPECT_EQ(pool->max_threads(), 3);
  EXPECT_FALSE(pool->InPool());
  Watched<int> inside{0};
  Item items[3];
  for (Item& item : items) {
    item.on_run = [&] {
      EXPECT_TRUE(pool->InPool());
      EXPECT_FALSE(other->InPool());
      EXPECT_EQ(Executor::Current(), pool.get());
      inside.Update([](int& n) { ++n; });
      // Each stays until all three are inside, so each has a worker of its own.
      EXPECT_TRUE(inside.WaitForValue(3));
    };
    ASSERT_TRUE(Submit(*pool, item));
  }
  ASSERT_TRUE(inside.WaitForValue(3));
  pool->Stop();
  std::set<int> numbers;
  for (Item& item : items) numbers.insert(item.worker);
  EXPECT_EQ(numbers, (std::set<int>{0, 1, 2}));
}

TEST(WorkerPool, HasAtLeastOneWorkerAndRoomForOneItem) {
  WorkerPoolOptions options;
  options.threads = 0;
  options.queue_limit = 0;
  auto pool = NewPool(options);
  EXPECT_EQ(pool->threads(), 1);
  EXPECT_EQ(pool->queue_limit(), 1u);
  Notification ran;
  Item item([&] { ran.Notify(); });
  ASSERT_TRUE(Submit(*pool, item));
  EXPECT_TRUE(ran.Wait());
  pool->Stop();
}

TEST(WorkerPool, GrowsWhileAllAreBlockedAndItemsWait) {
  WorkerPoolOptions options;
  options.threads = 1;
  options.max_threads = 4;
  options.idle_after = hours(1);
  auto pool = NewPool(options);
  Blockers blockers(4);
  blockers.SubmitAll(*pool);
  // Four items can be inside at once only with four threads.
  EXPECT_TRUE(blockers.AwaitInside(4));
  EXPECT_EQ(pool->threads(), 4);
  Item one_more;
  ASSERT_TRUE(Submit(*pool, one_more));
  blockers.LetGo();
  EXPECT_TRUE(PollUntil([&] { return one_more.runs.load() == 1; }));
  EXPECT_EQ(pool->threads(), 4) << "and not beyond its most";
  pool->Stop();
}

// There is one submission, one wake-up, and no other call, so the supervisor has to learn of the
// rest of the batch.
TEST(WorkerPool, GrowsForTheRestOfABatchToo) {
  WorkerPoolOptions options;
  options.threads = 2;
  options.max_threads = 4;
  options.idle_after = hours(1);
  for (int round = 0; round < 10; ++round) {
    auto pool = NewPool(options);
    // Both workers lie idle before the batch comes.
    Notification warm;
    pool->Execute([&] { warm.Notify(); });
    ASSERT_TRUE(warm.Wait());
    std::this_thread::yield();
    Watched<int> inside{0};
    Notification go;
    std::vector<std::unique_ptr<Item>> items;
    std::vector<WorkItem*> batch;
    for (int i = 0; i < 4; ++i) {
      items.push_back(std::make_unique<Item>([&] {
        inside.Update([](int& n) { ++n; });
        EXPECT_TRUE(go.Wait());
      }));
      batch.push_back(items.back().get());
    }
    ASSERT_EQ(pool->TrySubmit(batch.data(), batch.size()), 4u);
    EXPECT_TRUE(inside.WaitForValue(4));
    go.Notify();
    pool->Stop();
  }
}

TEST(WorkerPool, ShrinksToItsFirstSizeWhenIdleAndGrowsAgain) {
  WorkerPoolOptions options;
  options.threads = 1;
  options.max_threads = 3;
  options.idle_after = milliseconds(5);
  auto pool = NewPool(options);
  for (int round = 0; round < 5; ++round) {
    Blockers blockers(3);
    blockers.SubmitAll(*pool);
    ASSERT_TRUE(blockers.AwaitInside(3));
    blockers.LetGo();
    // The added workers end, and give no signal of it.
    ASSERT_TRUE(PollUntil([&] { return pool->threads() == 1; }));
  }
  pool->Stop();
}

TEST(WorkerPool, LosesNothingWhileItGrowsAndShrinks) {
  WorkerPoolOptions options;
  options.threads = 1;
  options.max_threads = 4;
  options.idle_after = std::chrono::microseconds(200);
  auto pool = NewPool(options);
  std::vector<std::thread> submitters;
  std::atomic<int> submitting{3};
  for (int s = 0; s < 3; ++s) {
    submitters.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        Parker ended;
        Item item([&] {
          // Now and then a worker stands still until the supervisor has made another one, while
          // items wait.
          if (i % 10 == 0) {
            EXPECT_TRUE(PollUntil([&] { return pool->threads() > 1 || submitting.load() < 3; }));
          }
          ended.Unpark();
        });
        ASSERT_TRUE(Submit(*pool, item));
        ASSERT_TRUE(ended.ParkFor(kTestPatience));
        while (item.runs.load() == 0) std::this_thread::yield();
      }
      submitting.fetch_sub(1);
    });
  }
  for (std::thread& t : submitters) t.join();
  pool->Stop();
}

TEST(WorkerPool, ItemsMaySubmitOthers) {
  auto pool = PoolOf(2);
  Watched<int> ran{0};
  Item second([&] { ran.Update([](int& n) { ++n; }); });
  Item first([&] {
    ran.Update([](int& n) { ++n; });
    EXPECT_TRUE(Submit(*pool, second));
  });
  ASSERT_TRUE(Submit(*pool, first));
  EXPECT_TRUE(ran.WaitForValue(2));
  pool->Stop();
}

TEST(WorkerPool, SaysThatThereIsNoMemoryForItsQueue) {
  WorkerPoolOptions options;
  // The cells of so many items, at 16 bytes each, exceed the address space.
  options.queue_limit = size_t{1} << 60;
  const absl::Status made = WorkerPool::Create(options).status();
  EXPECT_TRUE(absl::IsResourceExhausted(made)) << made;
}

// ---- Watching workers

// A flag for each worker, set and cleared inside an item, as the code that is watched does.
struct Inside {
  explicit Inside(int threads) : flags(static_cast<size_t>(threads)) {}
  std::vector<std::atomic<bool>> flags;
  void Set(int worker, bool on) {
    flags[static_cast<size_t>(worker)].store(
        on, on ? std::memory_order_relaxed : std::memory_order_release);
  }
  bool Get(int worker) const {
    return flags[static_cast<size_t>(worker)].load(std::memory_order_acquire);
  }
};

class InsideItem final : public WorkItem {
 public:
  InsideItem(Inside& inside, std::function<void()> f) : inside_(inside), f_(std::move(f)) {}
  void Run(int worker) override {
    inside_.Set(worker, true);
    if (f_) f_();
    inside_.Set(worker, false);
    done.fetch_add(1);
  }
  void Cancel() override {}
  std::atomic<int> done{0};

 private:
  Inside& inside_;
  const std::function<void()> f_;
};

TEST(WorkerPool, SaysWhenThoseThatWereInsideAreThrough) {
  auto pool = PoolOf(2);
  Inside inside(2);
  Notification entered, go;
  InsideItem item(inside, [&] {
    entered.Notify();
    EXPECT_TRUE(go.Wait());
  });
  ASSERT_TRUE(pool->TrySubmit(item));
  ASSERT_TRUE(entered.Wait());
  const auto gate = std::make_shared<Gate>();
  pool->watch().EnterUntilNext(gate, [&](int worker) { return inside.Get(worker); });
  EXPECT_EQ(gate->under_way(), 1u) << "the other worker is not inside";
  Notification told;
  gate->WhenEmpty([&] {
    EXPECT_FALSE(inside.Get(0) || inside.Get(1));
    told.Notify();
  });
  // The item is still inside its closure.
  EXPECT_FALSE(told.HasHappened());
  go.Notify();
  EXPECT_TRUE(told.Wait()) << "it is idle now";
  pool->Stop();
}

TEST(WorkerPool, SaysSoToOneWhoseWorkersAreStopped) {
  auto pool = PoolOf(1);
  Inside inside(1);
  Notification entered, go;
  InsideItem item(inside, [&] {
    entered.Notify();
    EXPECT_TRUE(go.Wait());
  });
  ASSERT_TRUE(pool->TrySubmit(item));
  ASSERT_TRUE(entered.Wait());
  const auto gate = std::make_shared<Gate>();
  pool->watch().EnterUntilNext(gate, [&](int worker) { return inside.Get(worker); });
  Notification told;
  gate->WhenEmpty([&] { told.Notify(); });
  std::thread stopper([&] { pool->Stop(); });
  go.Notify();
  stopper.join();
  // Stop has joined the worker, which took no next item and did not become idle.
  EXPECT_TRUE(told.HasHappened());
}

// These workers never rest, so a waiter is told when they take their next item. If the pool missed
// a worker, the waiter would wait in vain.
TEST(WorkerPool, MissesNobodyThatIsThroughWhileItIsAsked) {
  constexpr int kThreads = 2, kItems = 16;
  auto pool = PoolOf(kThreads);
  Inside inside(kThreads);
  std::atomic<bool> over{false};
  std::atomic<int> left{0};
  class Again final : public WorkItem {
   public:
    Again(WorkerPool& pool, Inside& inside, std::atomic<bool>& over, std::atomic<int>& left)
        : pool_(pool), inside_(inside), over_(over), left_(left) {}
    void Run(int worker) override {
      inside_.Set(worker, true);
      // Stay inside for some time, so that the watcher finds workers there.
      for (int i = 0; i < 200; ++i) (void)over_.load();
      inside_.Set(worker, false);
      over_.load() ? Cancel() : pool_.Requeue(*this);
    }
    void Cancel() override { left_.fetch_add(1); }

   private:
    WorkerPool& pool_;
    Inside& inside_;
    std::atomic<bool>& over_;
    std::atomic<int>& left_;
  };
  std::vector<std::unique_ptr<Again>> items;
  for (int i = 0; i < kItems; ++i) {
    items.push_back(std::make_unique<Again>(*pool, inside, over, left));
    ASSERT_TRUE(pool->TrySubmit(*items.back()));
  }
  for (int watched = 0; watched < 1000;) {
    const auto gate = std::make_shared<Gate>();
    const auto told = std::make_shared<Notification>();
    pool->watch().EnterUntilNext(gate, [&](int worker) {
      const bool is_inside = inside.Get(worker);
      if (is_inside) ++watched;
      return is_inside;
    });
    gate->WhenEmpty([told] { told->Notify(); });
    if (told->Wait()) continue;
    ADD_FAILURE() << "one was missed, after " << watched;
    break;
  }
  over.store(true);
  EXPECT_TRUE(PollUntil([&] { return left.load() == kItems; }));
  pool->Stop();
}

}  // namespace
}  // namespace weft::internal
