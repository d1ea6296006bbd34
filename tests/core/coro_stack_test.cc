// The depth of the stack while coroutines that need not wait follow one another, and the place
// where the end of a spawned coroutine runs. The bounds hold without optimization and under
// sanitizers, too.
#include "weft/core/coro_stack.h"

#include <algorithm>
#include <coroutine>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "tests/support/watched.h"
#include "weft/core/callback_queue.h"
#include "weft/core/coro.h"
#include "weft/core/event_loop.h"

namespace weft::internal {
namespace {

using ::testing::ElementsAre;

// This many nested resumptions would overflow any stack.
constexpr int64_t kMany = 1'000'000;

// The ends of the stack as the coroutines saw them.
struct Depths {
  uintptr_t highest = 0;
  uintptr_t lowest = UINTPTR_MAX;
  void Note() {
    const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    highest = std::max(highest, here);
    lowest = std::min(lowest, here);
  }
};

Coro<int64_t> Ready(int64_t i, Depths* depths) {
  depths->Note();
  co_return i;
}

Coro<int64_t> SumOfReady(int64_t count, Depths* depths) {
  int64_t sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += co_await Ready(i, depths);
  co_return sum;
}

// Suspends, and is resumed by the test.
struct Gate {
  std::coroutine_handle<> waiting;
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> h) { waiting = h; }
  void await_resume() {}
};

Coro<int64_t> SumBehind(Gate* gate, int64_t count, Depths* depths) {
  co_await *gate;
  co_return co_await SumOfReady(count, depths);
}

TEST(CoroStack, AMillionCoroutinesThatNeedNotWaitDoNotGrowTheStack) {
  Depths depths;
  std::optional<int64_t> sum;
  Spawn(SumOfReady(kMany, &depths), [&](std::optional<int64_t> s, std::exception_ptr) { sum = s; });
  EXPECT_EQ(sum, kMany * (kMany - 1) / 2);
  // The stack may grow to kMax below each Resume, and further by the frames of the coroutine that
  // runs there, which are large under a sanitizer.
  EXPECT_LE(depths.highest - depths.lowest, 4 * CoroStack::kMax);
}

TEST(CoroStack, NorDoTheyWhereSomebodyElseResumesThem) {
  Gate gate;
  Depths depths;
  std::optional<int64_t> sum;
  Spawn(SumBehind(&gate, kMany, &depths),
        [&](std::optional<int64_t> s, std::exception_ptr) { sum = s; });
  ASSERT_TRUE(gate.waiting);
  // The CoroStack that Spawn opened has gone by now.
  CoroStack::Resume(gate.waiting);
  EXPECT_EQ(sum, kMany * (kMany - 1) / 2);
  EXPECT_LE(depths.highest - depths.lowest, 4 * CoroStack::kMax);
}

TEST(Coro, TheEndOfASpawnedOneDoesNotRunInsideSpawnOnALoop) {
  LoopThread thread;
  std::vector<int> order;
  Depths depths;
  thread.Run([&] {
    CallbackQueue::Call(nullptr, "a test", [&] {
      // The coroutine ends inside Spawn. Its `done` waits until the running callback has returned.
      Spawn(Ready(1, &depths),
            [&](std::optional<int64_t>, std::exception_ptr) { order.push_back(2); });
      order.push_back(1);
    });
  });
  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST(Coro, WhatTheEndOfASpawnedOneThrowsIsCounted) {
  LoopThread thread;
  Depths depths;
  Gate gate;
  const auto throws = [](std::optional<int64_t>, std::exception_ptr) {
    throw std::runtime_error("at its end");
  };
  thread.Run([&] {
    // One ends inside Spawn, the other when the gate opens: their `done` is called from different
    // places.
    Spawn(Ready(1, &depths), throws);
    Spawn(SumBehind(&gate, 1, &depths), throws);
    CoroStack::Resume(gate.waiting);
  });
  thread.Stop();
  EXPECT_EQ(thread.loop().faults()->count(), 2);
}

}  // namespace
}  // namespace weft::internal
