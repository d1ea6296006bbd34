// A clock that moves by hand: loops act on each move before it returns, and may come and go
// meanwhile.
#include "weft/core/manual_clock.h"

#include <atomic>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "weft/core/timer.h"

namespace weft::internal {
namespace {

using std::chrono::seconds;

TEST(ManualClock, MovesOnlyWhenItIsMoved) {
  ManualClock clock;
  const MonoTime start = clock.Now();
  EXPECT_EQ(clock.Now(), start);
  clock.Advance(seconds(3));
  EXPECT_EQ(clock.Now(), start + seconds(3));
  clock.Advance(absl::Milliseconds(1));
  EXPECT_EQ(clock.Now(), start + seconds(3) + std::chrono::milliseconds(1));
}

TEST(ManualClock, WhatIsDueHasHappenedWhenAdvanceReturns) {
  ManualClock clock;
  LoopThread one(clock), two(clock);
  std::atomic<int> fired{0};
  std::unique_ptr<Timer> first, second;
  one.Run([&] {
    first = std::make_unique<Timer>(one.loop(), [&] { fired.fetch_add(1); });
    first->StartAfter(seconds(5));
  });
  two.Run([&] {
    second = std::make_unique<Timer>(two.loop(), [&] { fired.fetch_add(10); });
    second->StartAfter(seconds(6));
  });
  one.Settle();  // both loops sleep now
  two.Settle();
  clock.Advance(seconds(5) - Nanos(1));
  EXPECT_EQ(fired.load(), 0);
  clock.Advance(Nanos(1));
  EXPECT_EQ(fired.load(), 1);
  clock.Advance(seconds(1));
  EXPECT_EQ(fired.load(), 11);
  one.Run([&] { first.reset(); });
  two.Run([&] { second.reset(); });
}

TEST(ManualClock, MayBeMovedOnALoopItself) {
  ManualClock clock;
  LoopThread thread(clock);
  std::atomic<int> fired{0};
  std::unique_ptr<Timer> timer;
  thread.Run([&] {
    timer = std::make_unique<Timer>(thread.loop(), [&] { fired.fetch_add(1); });
    timer->StartAfter(seconds(5));
    clock.Advance(seconds(5));
    // A wait for this loop would never end here, so the timer fires later.
    EXPECT_EQ(fired.load(), 0);
  });
  thread.Settle();
  EXPECT_EQ(fired.load(), 1);
  thread.Run([&] { timer.reset(); });
}

TEST(ManualClock, MayBeMovedWhileLoopsComeAndGo) {
  ManualClock clock;
  std::atomic<bool> stop{false};
  std::thread mover([&] {
    while (!stop.load()) clock.Advance(seconds(1));
  });
  for (int i = 0; i < 50; ++i) {
    LoopThread thread(clock);
    // Every other loop ends before or in its first turns, while the clock may wait for it.
    if (i % 2 == 0) thread.Settle();
  }
  stop.store(true);
  mover.join();
}

TEST(ManualClock, WaitsAtItsEndForLoopsThatGoByIt) {
  auto clock = std::make_unique<ManualClock>();
  auto thread = std::make_unique<LoopThread>(*clock);
  thread->Settle();
  std::atomic<bool> told_to_end{false};
  std::thread ender([&] {
    thread->Run([] { std::this_thread::yield(); });
    told_to_end.store(true);
    thread->loop().Stop();
  });
  // This blocks until the loop has ended, which the other thread brings about.
  clock.reset();
  EXPECT_TRUE(told_to_end.load());
  ender.join();
}

TEST(ManualClock, ALoopThatNeverRanKeepsNobodyWaiting) {
  ManualClock clock;
  EventLoopOptions options = LoopThread::Options();
  options.clock = &clock;
  absl::StatusOr<std::unique_ptr<EventLoop>> loop = EventLoop::Create(options);
  ASSERT_TRUE(loop.ok());
  // The clock waits only for loops that turn: an answer of this one would never come.
  clock.Advance(seconds(1));
}

}  // namespace
}  // namespace weft::internal
