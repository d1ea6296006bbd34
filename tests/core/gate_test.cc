// A gate's callback comes once, after all that was under way; and the gate may be gone by then.
#include "weft/core/gate.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

TEST(Gate, TellsAtOnceWhenNothingIsUnderWay) {
  Gate gate;
  gate.Enter();
  gate.Leave();
  bool told = false;
  gate.WhenEmpty([&] { told = true; });
  EXPECT_TRUE(told);
}

TEST(Gate, TellsWhenTheLastOneHasLeft) {
  Gate gate;
  gate.Enter();
  gate.Enter();
  bool told = false;
  gate.WhenEmpty([&] { told = true; });
  gate.Leave();
  EXPECT_FALSE(told);
  EXPECT_EQ(gate.under_way(), 1u);
  gate.Enter();  // work under way begins further work
  gate.Leave();
  EXPECT_FALSE(told);
  gate.Leave();
  EXPECT_TRUE(told);
  EXPECT_EQ(gate.under_way(), 0u);
}

TEST(Gate, MayBeDestroyedByTheOneThatIsTold) {
  auto gate = std::make_unique<Gate>();
  gate->Enter();
  gate->WhenEmpty([&] { gate.reset(); });
  gate->Leave();
  EXPECT_EQ(gate, nullptr);
}

TEST(Gate, TellsOnceAfterAllThatTheThreadsInItHaveDone) {
  constexpr int kThreads = 3;
  for (int round = 0; round < 2000; ++round) {
    auto gate = std::make_unique<Gate>();
    for (int i = 0; i < kThreads; ++i) gate->Enter();
    int written[kThreads] = {};  // plain: the thread sanitizer sees a race on them
    std::atomic<int> told{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&gate, &written, i] {
        written[i] = 1;
        gate->Leave();
      });
    }
    gate->WhenEmpty([&] {
      for (const int one : written) EXPECT_EQ(one, 1);
      told.fetch_add(1);
    });
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(told.load(), 1);
  }
}

TEST(Gate, IsWaitedForOnTheStackOfWhoDestroysIt) {
  for (int round = 0; round < 2000; ++round) {
    std::thread leaver;
    int written = 0;
    {
      Gate gate;
      gate.Enter();
      leaver = std::thread([&] {
        written = 1;
        gate.Leave();
      });
      // The gate is destroyed as soon as this returns, while the other thread may still be inside
      // Leave.
      gate.WaitUntilEmpty();
      ASSERT_EQ(written, 1);
    }
    leaver.join();
  }
}

}  // namespace
}  // namespace weft::internal
