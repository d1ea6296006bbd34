// When and where callbacks of the user's run: here, behind the user's code on the stack, or on
// another thread. The tests also look at their order and at exceptions that they throw. Loops run
// on threads of their own.
#include "weft/core/callback_queue.h"

#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "tests/support/watched.h"
#include "weft/core/event_loop.h"
#include "weft/core/worker_pool.h"

namespace weft::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kWhat[] = "a test's callback";

class LinesSink final : public LogSink {
 public:
  void Write(LogLevel, std::string_view line) override {
    lines.Update([&](std::vector<std::string>& all) { all.emplace_back(line); });
  }
  Watched<std::vector<std::string>> lines;
};

TEST(CallbackQueue, CallsHereWhereNoCodeOfTheUsersIsOnTheStack) {
  LoopThread thread;
  std::vector<int> order;
  thread.Run([&] {
    CallbackQueue::Call(&thread.loop(), kWhat, [&] { order.push_back(1); });
    order.push_back(2);
  });
  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST(CallbackQueue, CallsBehindTheCodeOfTheUsersThatRegistersIt) {
  LoopThread thread;
  std::vector<int> order;
  thread.Run([&] {
    CallbackQueue::Call(nullptr, kWhat, [&] {
      CallbackQueue::Call(&thread.loop(), kWhat, [&] {
        // Callback 3 is queued already when this one runs, so 4 comes behind it.
        CallbackQueue::Call(nullptr, kWhat, [&] { order.push_back(4); });
        order.push_back(2);
      });
      CallbackQueue::Call(nullptr, kWhat, [&] { order.push_back(3); });
      order.push_back(1);
    });
    order.push_back(5);
  });
  EXPECT_THAT(order, ElementsAre(1, 2, 3, 4, 5));
}

TEST(CallbackQueue, PostsFromAnyOtherThread) {
  LoopThread one, other;
  Watched<std::vector<bool>> on_its_loop;
  const auto note = [&] {
    const bool right = one.loop().InLoop();
    on_its_loop.Update([&](std::vector<bool>& all) { all.push_back(right); });
  };
  one.Run([&] {
    // The loop is busy: what is posted cannot run before this returns.
    std::thread([&] { CallbackQueue::Call(&one.loop(), kWhat, note); }).join();
    EXPECT_TRUE(on_its_loop.Get().empty());
  });
  // The thread of another loop counts as any other thread, although it has a queue of its own.
  other.Run([&] { CallbackQueue::Call(&one.loop(), kWhat, note); });
  ASSERT_TRUE(on_its_loop.WaitFor([](const auto& all) { return all.size() == 2; }));
  EXPECT_THAT(on_its_loop.Get(), ElementsAre(true, true));
}

TEST(CallbackQueue, AMillionThatRegisterEachOtherDoNotNestAndLeaveTheLoopItsTurns) {
  LoopThread thread;
  // A million nested calls would overflow the stack.
  constexpr int kMany = 1'000'000;
  int called = 0, depth = 0, deepest = 0;
  bool other_ran_between = false;
  Notification all;
  std::function<void()> next = [&] {
    deepest = std::max(deepest, ++depth);
    if (++called < kMany) {
      CallbackQueue::Call(nullptr, kWhat, [&] { next(); });
    } else {
      all.Notify();
    }
    --depth;
  };
  thread.loop().Post([&](TaskFate) {
    // This is posted before any callback is queued, yet it runs behind the present closure. It gets
    // its turn once the queue lets go of the loop, after kInARow callbacks.
    thread.loop().Post([&](TaskFate) { other_ran_between = called < kMany; });
    CallbackQueue::Call(nullptr, kWhat, [&] { next(); });
  });
  ASSERT_TRUE(all.Wait());
  thread.Stop();
  EXPECT_EQ(called, kMany);
  EXPECT_EQ(deepest, 1);
  EXPECT_TRUE(other_ran_between);
}

TEST(CallbackQueue, CallsWhatIsLeftWhenItsLoopCloses) {
  LoopThread thread;
  int called = 0;
  // The chain is three times as long as a run of callbacks in a row, so callbacks are left when the
  // loop closes.
  std::function<void()> next = [&] {
    if (++called < 3 * CallbackQueue::kInARow) CallbackQueue::Call(nullptr, kWhat, [&] { next(); });
  };
  thread.loop().Post([&](TaskFate) {
    thread.loop().Stop();
    CallbackQueue::Call(nullptr, kWhat, [&] { next(); });
  });
  thread.Stop();
  EXPECT_EQ(called, 3 * CallbackQueue::kInARow);
  // A closed loop never runs anything later, so the callback is called at once.
  CallbackQueue::Call(&thread.loop(), kWhat, [&] { ++called; });
  EXPECT_EQ(called, 3 * CallbackQueue::kInARow + 1);
}

TEST(CallbackQueue, WhatACallbackHoldsGoesBeforeTheNextOneIsCalled) {
  LoopThread thread;
  std::vector<int> order;
  thread.Run([&] {
    // The destructor of what the callback holds is code of the user's, too: a callback that it
    // registers waits until it has returned.
    CallbackQueue::Call(nullptr, kWhat, [&order, held = std::shared_ptr<void>(nullptr, [&](void*) {
                                                   order.push_back(2);
                                                   CallbackQueue::Call(&thread.loop(), kWhat,
                                                                       [&] { order.push_back(4); });
                                                   order.push_back(3);
                                                 })] { order.push_back(1); });
    order.push_back(5);
  });
  EXPECT_THAT(order, ElementsAre(1, 2, 3, 4, 5));
}

TEST(CallbackQueue, SaysWhetherACallbackIsOnTheStack) {
  LoopThread thread;
  EXPECT_FALSE(CallbackQueue::InCallback());
  thread.Run([&] {
    EXPECT_FALSE(CallbackQueue::InCallback());
    CallbackQueue::Call(nullptr, kWhat, [] { EXPECT_TRUE(CallbackQueue::InCallback()); });
    EXPECT_FALSE(CallbackQueue::InCallback());
  });
  auto pool = WorkerPool::Create({.threads = 1});
  ASSERT_TRUE(pool.ok());
  Watched<int> in_pool{0};
  // A handler on a worker may wait; a callback that was handed to an executor may not.
  (*pool)->Execute([&] { in_pool.Set(CallbackQueue::InCallback() ? 1 : 2); });
  ASSERT_TRUE(in_pool.WaitForValue(2));
  CallbackQueue::Execute(**pool, kWhat, [&] { in_pool.Set(CallbackQueue::InCallback() ? 1 : 2); });
  ASSERT_TRUE(in_pool.WaitForValue(1));
}

TEST(CallbackQueue, WhatIsThrownIsLoggedAndCountedAndGoesNoFurther) {
  const auto sink = std::make_shared<LinesSink>();
  EventLoopOptions options = LoopThread::Options();
  options.log = Log(sink, LogLevel::kWarning);
  LoopThread thread(options);
  int after = 0;
  thread.Run([&] {
    CallbackQueue::Call(nullptr, kWhat, [] { throw std::runtime_error("of the first"); });
    CallbackQueue::Call(nullptr, kWhat, [&] {
      CallbackQueue::Call(nullptr, kWhat, [] { throw 7; });
      CallbackQueue::Call(nullptr, kWhat, [&] { ++after; });
    });
  });
  thread.loop().Post([](TaskFate) { throw std::runtime_error("posted"); });
  thread.Stop();
  EXPECT_EQ(after, 1);
  EXPECT_EQ(thread.loop().faults()->count(), 3);
  EXPECT_THAT(sink->lines.Get(),
              ElementsAre("a test's callback threw: of the first",
                          "a test's callback threw: something that is no std::exception",
                          "a posted closure threw: posted"));
}

// An executor of the user's that fails to take any closure.
class Throws final : public Executor {
 public:
  void Execute(absl::AnyInvocable<void() &&>) override { throw std::runtime_error("no threads"); }
};

TEST(CallbackQueue, AnExecutorThatThrowsIsLoggedAndCountedAsWhatRunsOnOneIs) {
  const auto sink = std::make_shared<LinesSink>();
  EventLoopOptions options = LoopThread::Options();
  options.log = Log(sink, LogLevel::kWarning);
  LoopThread thread(options);
  auto pool = WorkerPool::Create({.threads = 1, .faults = thread.loop().faults()});
  ASSERT_TRUE(pool.ok());
  Throws throws;
  thread.Run([&] {
    CallbackQueue::Execute(throws, kWhat, [] { ADD_FAILURE(); });
    CallbackQueue::Execute(**pool, kWhat, [] { throw std::runtime_error("on the pool"); });
  });
  (*pool)->Execute([] { throw std::runtime_error("by itself"); });
  ASSERT_TRUE(sink->lines.WaitFor([](const auto& lines) { return lines.size() == 3; }));
  EXPECT_THAT(sink->lines.Get(),
              ElementsAre("an executor threw: no threads", "a test's callback threw: on the pool",
                          "a closure of a worker pool threw: by itself"));
  EXPECT_EQ(thread.loop().faults()->count(), 3);
}

TEST(CallbackQueue, ThrowsBeyondTenASecondAreCountedAndNotLogged) {
  const auto sink = std::make_shared<LinesSink>();
  CallbackFaults faults(Log(sink, LogLevel::kWarning));
  for (int i = 0; i < 1000; ++i) GuardedCall(&faults, kWhat, [] { throw 1; });
  EXPECT_EQ(faults.count(), 1000);
  // The limit of ten a second counts on the system's clock. A hundred lines allow for a machine on
  // which the thousand throws take ten seconds.
  EXPECT_LE(sink->lines.Get().size(), 100U);
}

}  // namespace
}  // namespace weft::internal
