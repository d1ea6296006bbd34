// Order by key: with a carrier that the test steps by hand, so that the test decides each
// interleaving, and on a pool with several threads.
#include "weft/core/serial_executor.h"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/watched.h"
#include "weft/core/worker_pool.h"

namespace weft::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Keeps the items that it is given until the test runs them.
class HandCarrier final : public WorkQueue {
 public:
  bool TrySubmit(WorkItem& item) override {
    if (full) return false;
    submitted.push_back(&item);
    return true;
  }
  void Requeue(WorkItem& item) override { requeued.push_back(&item); }
  void Resume(WorkItem&) override { FAIL() << "an order is nothing that goes before others"; }

  // Runs or cancels one item; requeued items come last. Returns false if there is none.
  bool Step(bool cancel = false) {
    std::vector<WorkItem*>& from = submitted.empty() ? requeued : submitted;
    if (from.empty()) return false;
    WorkItem* const item = from.front();
    from.erase(from.begin());
    cancel ? item->Cancel() : item->Run(0);
    return true;
  }
  void RunAll() {
    while (Step()) {
    }
  }

  bool full = false;
  std::vector<WorkItem*> submitted, requeued;
};

// Notes its run. Ends inside Run unless `over_at_once` is false.
class Note final : public WorkItem {
 public:
  Note(std::string name, std::vector<std::string>& log) : name_(std::move(name)), log_(log) {}
  void Run(int) override {
    log_.push_back(name_);
    if (during) during();
    if (over_at_once) Finish();
  }
  void Cancel() override {
    log_.push_back("-" + name_);
    Finish();
  }
  void Finish() { executor->Done(*queue, *this); }

  bool over_at_once = true;
  std::function<void()> during;
  SerialExecutor* executor = nullptr;
  SerialExecutor::Queue* queue = nullptr;

 private:
  const std::string name_;
  std::vector<std::string>& log_;
};

class SerialExecutorTest : public testing::Test {
 protected:
  Note& Add(const std::string& key, const std::string& name) {
    return *notes_.emplace_back(std::make_unique<Note>(absl::StrCat(key, name), log_));
  }
  bool Submit(const std::string& key, Note& note, bool ready = true) {
    note.executor = executor_.get();
    return executor_->TrySubmit({.name = key}, note, &note.queue, ready);
  }
  Note& Submitted(const std::string& key, const std::string& name) {
    Note& note = Add(key, name);
    EXPECT_TRUE(Submit(key, note));
    return note;
  }

  HandCarrier carrier_;
  std::shared_ptr<SerialExecutor> executor_ = std::make_shared<SerialExecutor>(carrier_, 100);
  std::vector<std::string> log_;
  std::vector<std::unique_ptr<Note>> notes_;
};

TEST_F(SerialExecutorTest, RunsOneKeysItemsInOrder) {
  for (const char* name : {"1", "2", "3"}) Submitted("a", name);
  EXPECT_EQ(carrier_.submitted.size(), 1u);
  EXPECT_EQ(executor_->waiting(), 3u);
  carrier_.RunAll();
  EXPECT_THAT(log_, ElementsAre("a1", "a2", "a3"));
  EXPECT_EQ(executor_->waiting(), 0u);
}

TEST_F(SerialExecutorTest, AnItemThatIsNotOverHoldsUpItsOwnKeyOnly) {
  Note& first = Add("a", "1");
  // The first item stands for a handler that answers later.
  first.over_at_once = false;
  ASSERT_TRUE(Submit("a", first));
  Submitted("a", "2");
  Submitted("b", "1");
  carrier_.RunAll();
  EXPECT_THAT(log_, ElementsAre("a1", "b1"));
  first.Finish();
  carrier_.RunAll();
  EXPECT_THAT(log_, ElementsAre("a1", "b1", "a2"));
}

TEST_F(SerialExecutorTest, KeysThatDifferInAnyPartAreTwo) {
  int x = 0, y = 0;
  std::vector<Note*> notes;
  // The last key equals the first, so its item waits for the first one.
  const std::vector<SerialKey> keys = {{&x, nullptr, ""},  {&y, nullptr, ""}, {&x, &y, ""},
                                       {&x, nullptr, "k"}, {&x, &x, ""},      {&x, nullptr, ""}};
  for (const SerialKey& key : keys) {
    Note& note = Add("", absl::StrCat(notes.size()));
    note.executor = executor_.get();
    note.over_at_once = false;
    ASSERT_TRUE(executor_->TrySubmit(key, note, &note.queue));
    notes.push_back(&note);
  }
  carrier_.RunAll();
  EXPECT_THAT(log_, ElementsAre("0", "1", "2", "3", "4"));
  for (size_t i = 0; i < 5; ++i) notes[i]->Finish();
  carrier_.RunAll();
  EXPECT_EQ(log_.back(), "5");
  notes[5]->Finish();
}

TEST_F(SerialExecutorTest, Case05AnItemByAnEarlierWayIsLateWhenOneHasComeByALaterWay) {
  uint64_t highest = 0;
  const auto submit = [&](Note& note, uint64_t rank) {
    SerialWay way{&highest, rank};
    note.executor = executor_.get();
    const bool taken =
        executor_->TrySubmit({.name = "a"}, note, &note.queue, /*ready=*/true, nullptr, &way);
    EXPECT_EQ(way.late, !taken);
    return taken;
  };
  EXPECT_TRUE(submit(Add("a", "1"), 2));
  EXPECT_TRUE(submit(Add("a", "2"), 2));
  EXPECT_TRUE(submit(Add("a", "3"), 4));
  // The late item is refused. Items of rank 2 that were accepted earlier still run.
  EXPECT_FALSE(submit(Add("a", "4"), 2));
  carrier_.RunAll();
  EXPECT_FALSE(submit(Add("a", "5"), 2)) << "also when nothing waits";
  EXPECT_TRUE(submit(Add("a", "6"), 4));
  carrier_.RunAll();
  EXPECT_THAT(log_, ElementsAre("a1", "a2", "a3", "a6"));
}

TEST_F(SerialExecutorTest, TakesOutThoseThatAreAskedFor) {
  int owner = 0;
  std::vector<Note*> notes;
  for (const char* name : {"1", "2", "3"}) {
    Note& note = Add("a", name);
    note.executor = executor_.get();
    ASSERT_TRUE(executor_->TrySubmit({.owner = &owner}, note, &note.queue));
    notes.push_back(&note);
  }
  EXPECT_THAT(executor_->TakeOut(&owner, [&](const WorkItem& item) { return &item == notes[1]; }),
              ElementsAre(notes[1]));
  carrier_.RunAll();
  EXPECT_THAT(log_, ElementsAre("a1", "a3"));
}

TEST_F(SerialExecutorTest, AQueueGoesWithItsLastItem) {
  for (int i = 0; i < 100; ++i) Submitted(absl::StrCat("key ", i % 10), "x");
  EXPECT_EQ(executor_->queues(), 10u);
  carrier_.full = true;  // the end of a queue submits nothing more
  carrier_.RunAll();
  EXPECT_EQ(executor_->queues(), 0u);
  EXPECT_EQ(log_.size(), 100u);
}

TEST_F(SerialExecutorTest, RefusesBeyondItsLimit) {
  executor_ = std::make_shared<SerialExecutor>(carrier_, 2);
  Submitted("a", "1");
  Submitted("b", "1");
  Note& more = Add("c", "1");
  EXPECT_FALSE(Submit("c", more));
  ASSERT_TRUE(carrier_.Step());  // one item fewer waits
  EXPECT_TRUE(Submit("c", more));
  carrier_.RunAll();
  EXPECT_THAT(log_, ElementsAre("a1", "b1", "c1"));
}

TEST_F(SerialExecutorTest, RefusesWhatItsCarrierRefuses) {
  carrier_.full = true;
  Note& note = Add("a", "1");
  EXPECT_FALSE(Submit("a", note));
  // Nothing is left of the refused item, so the next item of its key begins anew.
  EXPECT_EQ(executor_->queues(), 0u);
  EXPECT_EQ(executor_->waiting(), 0u);
  carrier_.full = false;
  EXPECT_TRUE(Submit("a", note));
  carrier_.RunAll();
  EXPECT_THAT(log_, ElementsAre("a1"));
}

// Items in a queue were accepted. They must run although the work queue is full by then.
TEST_F(SerialExecutorTest, GoesOnThoughItsCarrierIsFull) {
  Note& first = Add("a", "1");
  first.over_at_once = false;
  ASSERT_TRUE(Submit("a", first));
  ASSERT_TRUE(carrier_.Step());
  carrier_.full = true;
  Submitted("a", "2");
  // Requeue hands the queue back to the carrier, and never refuses it.
  first.Finish();
  carrier_.RunAll();
  EXPECT_THAT(log_, ElementsAre("a1", "a2"));
}

// One step of the carrier runs kInARow items of a key at most.
TEST_F(SerialExecutorTest, AKeyThatNeverRestsLetsOthersIn) {
  for (int i = 0; i < 2 * SerialExecutor::kInARow; ++i) Submitted("a", absl::StrCat(i));
  Submitted("b", "");
  ASSERT_TRUE(carrier_.Step());
  EXPECT_EQ(log_.size(), static_cast<size_t>(SerialExecutor::kInARow));
  ASSERT_TRUE(carrier_.Step());
  EXPECT_EQ(log_.back(), "b");
  carrier_.RunAll();
  EXPECT_EQ(log_.size(), 2u * SerialExecutor::kInARow + 1);
}

TEST_F(SerialExecutorTest, AKeptPlaceHoldsUpWhatComesBehind) {
  Note& large = Add("a", "1");
  ASSERT_TRUE(Submit("a", large, /*ready=*/false));
  Submitted("a", "2");
  Submitted("b", "1");
  carrier_.RunAll();
  EXPECT_THAT(log_, ElementsAre("b1"));
  executor_->SetReady(*large.queue, large);
  carrier_.RunAll();
  EXPECT_THAT(log_, ElementsAre("b1", "a1", "a2"));
}

TEST_F(SerialExecutorTest, APlaceKeptBehindOthersIsWaitedForInItsTurn) {
  Submitted("a", "1");
  Note& large = Add("a", "2");
  ASSERT_TRUE(Submit("a", large, /*ready=*/false));
  Submitted("a", "3");
  carrier_.RunAll();
  EXPECT_THAT(log_, ElementsAre("a1"));
  executor_->SetReady(*large.queue, large);
  carrier_.RunAll();
  EXPECT_THAT(log_, ElementsAre("a1", "a2", "a3"));
}

TEST_F(SerialExecutorTest, AnItemThatEndsBeforeItsTurnIsTakenOut) {
  Note& kept = Add("a", "1");
  ASSERT_TRUE(Submit("a", kept, /*ready=*/false));
  Note& second = Submitted("a", "2");
  Submitted("a", "3");
  second.Finish();
  kept.Finish();
  carrier_.RunAll();
  EXPECT_THAT(log_, ElementsAre("a3"));
  EXPECT_EQ(executor_->queues(), 0u);
}

TEST_F(SerialExecutorTest, AQueueWhoseOnlyItemEndsWhileItWaitsForTheCarrierGoes) {
  Note& only = Submitted("a", "1");
  only.Finish();
  EXPECT_EQ(executor_->waiting(), 0u);
  // The carrier still has the queue, and finds no item in it.
  carrier_.RunAll();
  EXPECT_THAT(log_, IsEmpty());
  EXPECT_EQ(executor_->queues(), 0u);
}

TEST_F(SerialExecutorTest, AnItemMayBringTheNext) {
  Note& second = Add("a", "2");
  // Submit inside Run, when the queue is empty and must not be freed.
  Submitted("a", "1").during = [&] { EXPECT_TRUE(Submit("a", second)); };
  carrier_.RunAll();
  EXPECT_THAT(log_, ElementsAre("a1", "a2"));
}

TEST_F(SerialExecutorTest, CancelsAllWhenItsCarrierHasStopped) {
  Submitted("a", "1");
  Submitted("a", "2");
  Submitted("b", "1");
  while (carrier_.Step(/*cancel=*/true)) {
  }
  EXPECT_THAT(log_, ElementsAre("-a1", "-a2", "-b1"));
  EXPECT_EQ(executor_->queues(), 0u);
}

// The queue holds the executor while it runs. Without that reference Done would be called on freed
// memory.
// Between the owner's letting go and the item's Done nobody but the queue has the executor.
TEST_F(SerialExecutorTest, ItsOwnerMayLetGoBeforeTheLastItemIsDone) {
  const std::weak_ptr<SerialExecutor> executor = executor_;
  Submitted("a", "1").during = [&] {
    executor_.reset();
    EXPECT_FALSE(executor.expired());
  };
  carrier_.RunAll();
  EXPECT_THAT(log_, ElementsAre("a1"));
  EXPECT_TRUE(executor.expired()) << "nothing is left that could need it";
}

TEST_F(SerialExecutorTest, ItsOwnerMayLetGoWhenTheLastItemIsDone) {
  const std::weak_ptr<SerialExecutor> executor = executor_;
  Note& note = Submitted("a", "1");
  note.over_at_once = false;
  note.during = [&] {
    note.Finish();
    executor_.reset();
    EXPECT_FALSE(executor.expired());
  };
  carrier_.RunAll();
  EXPECT_THAT(log_, ElementsAre("a1"));
  EXPECT_TRUE(executor.expired()) << "nothing is left that could need it";
}

// ---- On a pool

// Several threads submit; each item checks that it is alone with its key and comes in order.
class Counted final : public WorkItem {
 public:
  struct Key {
    std::atomic<bool> busy{false};
    int64_t next = 0;  // guarded by the order that is tested
  };
  Counted(SerialExecutor& executor, Key& key, int64_t number, bool later)
      : executor_(executor), key_(key), number_(number), later_(later) {}

  void Run(int) override {
    EXPECT_FALSE(key_.busy.exchange(true));
    EXPECT_EQ(key_.next++, number_);
    if (later_) {
      std::thread([this] { Finish(); }).detach();
    } else {
      Finish();
    }
  }
  void Cancel() override { ADD_FAILURE() << "cancelled"; }
  void Finish() {
    key_.busy.store(false);
    Watched<int64_t>& all = *left;
    // Read `left` first: after Done this item may be destroyed.
    executor_.Done(*queue, *this);
    all.Update([](int64_t& n) { --n; });
  }

  SerialExecutor::Queue* queue = nullptr;
  Watched<int64_t>* left = nullptr;

 private:
  SerialExecutor& executor_;
  Key& key_;
  const int64_t number_;
  const bool later_;
};

TEST(SerialExecutorOnAPool, KeepsEachKeysOrderWhileKeysRunBesideEachOther) {
  constexpr int kKeys = 8;
  constexpr int kItems = 400;
  auto pool = WorkerPool::Create({.threads = 4});
  ASSERT_TRUE(pool.ok());
  auto executor = std::make_shared<SerialExecutor>(**pool, 100'000);
  std::vector<Counted::Key> keys(kKeys);
  std::vector<std::unique_ptr<Counted>> items;
  Watched<int64_t> left(int64_t{kKeys} * kItems);
  for (int i = 0; i < kItems; ++i) {
    for (Counted::Key& key : keys) {
      // Some items end on a thread of their own, after Run has returned. The next item of the key
      // must wait for that.
      items.push_back(std::make_unique<Counted>(*executor, key, i, /*later=*/i % 100 == 7));
      items.back()->left = &left;
    }
  }
  std::vector<std::thread> submitters;
  for (int s = 0; s < 2; ++s) {
    submitters.emplace_back([&, s] {
      for (size_t i = 0; i < items.size(); ++i) {
        // Each key has one submitter, so its items have an order.
        if (static_cast<int>(i % kKeys) % 2 != s) continue;
        EXPECT_TRUE(executor->TrySubmit({.owner = &keys[i % kKeys]}, *items[i], &items[i]->queue));
      }
    });
  }
  for (std::thread& thread : submitters) thread.join();
  EXPECT_TRUE(left.WaitForValue(0));
  // The last items told of their end inside Run; their queues go when Run has returned.
  (*pool)->Stop();
  EXPECT_EQ(executor->queues(), 0u);
}

}  // namespace
}  // namespace weft::internal
