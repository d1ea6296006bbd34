// A bell that other threads ring for a loop: how often it calls, and when it ends.
#include "weft/core/loop_bell.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "tests/support/watched.h"

namespace weft::internal {
namespace {

TEST(LoopBell, CallsOnceForAllRingsBeforeTheCall) {
  LoopThread thread;
  int calls = 0;
  const auto bell = std::make_shared<LoopBell>(thread.shared_loop(), [&] { ++calls; });
  thread.Run([&] {
    for (int i = 0; i < 3; ++i) bell->Ring();
    EXPECT_EQ(calls, 0) << "not inside the ring";
  });
  thread.Run([&] { EXPECT_EQ(calls, 1); });
  bell->Ring();
  thread.Run([&] {
    EXPECT_EQ(calls, 2);
    bell->Silence();
  });
}

TEST(LoopBell, MissesNothingThatWasDoneBeforeARing) {
  constexpr int kThreads = 3, kRings = 5000;
  LoopThread thread;
  std::atomic<int> done{0};
  Watched<int> seen{0};
  const auto bell =
      std::make_shared<LoopBell>(thread.shared_loop(), [&] { seen.Set(done.load()); });
  std::vector<std::thread> ringers;
  for (int t = 0; t < kThreads; ++t) {
    ringers.emplace_back([&] {
      for (int i = 0; i < kRings; ++i) {
        // The order is relaxed: only the ring makes the write visible to the loop.
        done.fetch_add(1, std::memory_order_relaxed);
        bell->Ring();
      }
    });
  }
  for (std::thread& ringer : ringers) ringer.join();
  // The last ring of all may find the bell rung already. If the call for that earlier ring had read
  // the count by then, `seen` would stay below it.
  EXPECT_TRUE(seen.WaitForValue(kThreads * kRings));
  thread.Run([&] { bell->Silence(); });
}

TEST(LoopBell, CallsNobodyWhenItIsSilentAndLivesUntilItIsThrough) {
  LoopThread thread;
  int calls = 0;
  auto bell = std::make_shared<LoopBell>(thread.shared_loop(), [&] { ++calls; });
  const std::weak_ptr<LoopBell> alive = bell;
  thread.Run([&] {
    bell->Ring();
    bell->Silence();
    bell.reset();
    // The posted bell holds itself.
    EXPECT_FALSE(alive.expired());
  });
  thread.Run([&] {
    EXPECT_TRUE(alive.expired());
    EXPECT_EQ(calls, 0);
  });
}

TEST(LoopBell, OfALoopThatHasClosedCallsNobodyAndIsFreed) {
  LoopThread thread;
  int calls = 0;
  auto bell = std::make_shared<LoopBell>(thread.shared_loop(), [&] { ++calls; });
  const std::weak_ptr<LoopBell> alive = bell;
  thread.Stop();
  // The closed loop cancels each ring, which has to let go of the bell.
  bell->Ring();
  bell->Ring();
  bell.reset();
  EXPECT_TRUE(alive.expired());
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace weft::internal
