// Tasks of many threads for one loop: the push that has to wake the loop, the order of tasks, and
// the queue's end.
#include "weft/core/post_queue.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

class Numbered final : public LoopTask {
 public:
  Numbered(int from, int count) : poster(from), number(count) {}
  void Run() override {}
  void Cancel() override {}
  const int poster;
  const int number;
};

TEST(PostQueue, SaysFirstWhenItWasEmptyAndBehindOtherwise) {
  PostQueue queue;
  Numbered a(0, 0), b(0, 1), c(0, 2);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.Push(&a), PostQueue::Pushed::kFirst);
  EXPECT_FALSE(queue.empty());
  EXPECT_EQ(queue.Push(&b), PostQueue::Pushed::kBehind);
  queue.TakeAll();
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.Push(&c), PostQueue::Pushed::kFirst);
}

TEST(PostQueue, GivesTasksOldestFirst) {
  PostQueue queue;
  Numbered a(0, 0), b(0, 1), c(0, 2);
  for (Numbered* task : {&a, &b, &c}) queue.Push(task);
  TaskList tasks = queue.TakeAll();
  EXPECT_EQ(tasks.Pop(), &a);
  EXPECT_EQ(tasks.Pop(), &b);
  EXPECT_EQ(tasks.Pop(), &c);
  EXPECT_EQ(tasks.Pop(), nullptr);
  EXPECT_TRUE(queue.TakeAll().empty());
}

TEST(PostQueue, ATaskTakenOffMayBePushedAgain) {
  PostQueue queue;
  Numbered a(0, 0), b(0, 1);
  queue.Push(&a);
  queue.Push(&b);
  TaskList tasks = queue.TakeAll();
  ASSERT_EQ(tasks.Pop(), &a);
  EXPECT_EQ(queue.Push(&a), PostQueue::Pushed::kFirst);
  EXPECT_EQ(tasks.Pop(), &b) << "pushing it again must not touch the list it came from";
  TaskList again = queue.TakeAll();
  EXPECT_EQ(again.Pop(), &a);
  EXPECT_TRUE(again.empty());
}

TEST(PostQueue, RefusesEverythingAfterClose) {
  PostQueue queue;
  Numbered a(0, 0), b(0, 1);
  queue.Push(&a);
  TaskList last = queue.Close();
  EXPECT_EQ(last.Pop(), &a);
  EXPECT_TRUE(last.empty());
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.Push(&b), PostQueue::Pushed::kClosed);
  // A second close must not open it again.
  EXPECT_TRUE(queue.Close().empty());
  EXPECT_EQ(queue.Push(&b), PostQueue::Pushed::kClosed);
}

TEST(PostQueue, KeepsTheOrderOfEachPosterAndLosesNothing) {
  constexpr int kPosters = 4;
  constexpr int kTasks = 5'000;
  PostQueue queue;
  std::vector<std::vector<std::unique_ptr<Numbered>>> tasks(kPosters);
  for (int p = 0; p < kPosters; ++p) {
    for (int i = 0; i < kTasks; ++i) tasks[p].push_back(std::make_unique<Numbered>(p, i));
  }
  std::atomic<int> firsts{0};
  std::vector<std::thread> posters;
  for (int p = 0; p < kPosters; ++p) {
    posters.emplace_back([&, p] {
      for (auto& task : tasks[p]) {
        if (queue.Push(task.get()) == PostQueue::Pushed::kFirst) firsts.fetch_add(1);
      }
    });
  }
  std::vector<int> next(kPosters, 0);
  int taken = 0, batches = 0;
  while (taken < kPosters * kTasks) {
    // Take batches while the posters push: each batch is a new chain.
    TaskList batch = queue.TakeAll();
    if (batch.empty()) {
      std::this_thread::yield();
      continue;
    }
    ++batches;
    while (LoopTask* task = batch.Pop()) {
      auto* numbered = static_cast<Numbered*>(task);
      ASSERT_EQ(numbered->number, next[numbered->poster]++);
      ++taken;
    }
  }
  for (std::thread& t : posters) t.join();
  EXPECT_EQ(firsts.load(), batches) << "exactly one poster of each batch has to wake the loop";
}

TEST(PostQueue, EachTaskIsEitherTakenOrRefusedWhenItClosesMeanwhile) {
  constexpr int kTasks = 20'000;
  PostQueue queue;
  std::vector<std::unique_ptr<Numbered>> tasks;
  for (int i = 0; i < kTasks; ++i) tasks.push_back(std::make_unique<Numbered>(0, i));
  std::atomic<int> pushed{0};
  int refused = 0;
  std::thread poster([&] {
    for (auto& task : tasks) {
      if (queue.Push(task.get()) == PostQueue::Pushed::kClosed) ++refused;
      pushed.fetch_add(1);
    }
  });
  // Close in the middle of the pushing, so that some tasks are taken and others refused.
  while (pushed.load() < 100) std::this_thread::yield();
  int taken = 0;
  TaskList last = queue.Close();
  while (last.Pop() != nullptr) ++taken;
  poster.join();
  EXPECT_EQ(taken + refused, kTasks);
  EXPECT_GE(taken, 100);
}

}  // namespace
}  // namespace weft::internal
