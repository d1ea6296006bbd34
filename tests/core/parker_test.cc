// A thread that sleeps until it is called: no call is lost, and none counts twice.
#include "weft/core/parker.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

TEST(Parker, DoesNotSleepWhenItWasCalledBefore) {
  Parker parker;
  parker.Unpark();
  // Without the call before, this would sleep for ever.
  parker.Park();
  parker.Unpark();
  EXPECT_TRUE(parker.ParkFor(Nanos::max()));
}

TEST(Parker, CallsAddUpToOne) {
  Parker parker;
  for (int i = 0; i < 5; ++i) parker.Unpark();
  EXPECT_TRUE(parker.TryPark());
  EXPECT_FALSE(parker.TryPark());
}

TEST(Parker, ReturnsFalseWhenNobodyCalls) {
  Parker parker;
  EXPECT_FALSE(parker.ParkFor(milliseconds(2)));
  EXPECT_FALSE(parker.ParkFor(Nanos::zero()));
  EXPECT_FALSE(parker.ParkFor(Nanos(-5)));
  parker.Unpark();
  EXPECT_TRUE(parker.ParkFor(Nanos::zero())) << "a call counts also when the limit is over";
  // The wait before took the only call.
  EXPECT_FALSE(parker.TryPark());
}

TEST(Parker, WakesWhoeverSleeps) {
  Parker parker;
  std::atomic<int> rounds{0};
  std::thread sleeper([&] {
    for (int i = 0; i < 100; ++i) {
      if (i % 2 == 0) {
        parker.Park();
      } else {
        EXPECT_TRUE(parker.ParkFor(std::chrono::minutes(5)));
      }
      rounds.fetch_add(1);
    }
  });
  for (int i = 0; i < 100; ++i) {
    parker.Unpark();
    // The next call comes only after this one was answered: two calls in a row would add up to one.
    while (rounds.load() == i) std::this_thread::yield();
  }
  sleeper.join();
}

// Two threads wake each other in turn through two parkers. If one call is lost, both sleep for
// ever.
TEST(Parker, LosesNoCallUnderStress) {
  Parker here, there;
  constexpr int kRounds = 20'000;
  std::thread other([&] {
    for (int i = 0; i < kRounds; ++i) {
      there.Park();
      here.Unpark();
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    there.Unpark();
    here.Park();
  }
  other.join();
}

// Writes of a caller before Unpark are seen after Park, also when two calls of Unpark wake it once.
// So a consumer that parks only when it has found nothing gets everything.
TEST(Parker, ShowsWhatEachCallerDidBefore) {
  constexpr int kCallers = 3, kEach = 20'000;
  Parker parker;
  std::vector<std::atomic<int>> done(kCallers);
  for (std::atomic<int>& d : done) d.store(0, std::memory_order_relaxed);
  std::vector<std::thread> callers;
  for (int c = 0; c < kCallers; ++c) {
    callers.emplace_back([&, c] {
      for (int i = 0; i < kEach; ++i) {
        done[c].store(i + 1, std::memory_order_relaxed);
        parker.Unpark();
      }
    });
  }
  bool all = false;
  while (!all) {
    all = true;
    for (const std::atomic<int>& d : done) all = all && d.load(std::memory_order_relaxed) == kEach;
    if (!all) parker.Park();
  }
  for (std::thread& t : callers) t.join();
}

TEST(Parker, SurvivesCallsAtTheMomentTheTimeIsOver) {
  Parker parker;
  std::atomic<bool> stop{false};
  std::atomic<int> calls{0};
  std::thread caller([&] {
    while (!stop.load()) {
      parker.Unpark();
      // The number of yields changes, so that calls come at any moment of the other thread's wait.
      for (int i = calls.fetch_add(1) % 64; i > 0; --i) std::this_thread::yield();
    }
  });
  int woken = 0;
  // The limit is so short that many calls come just when it ends.
  for (int i = 0; i < 2'000; ++i) woken += parker.ParkFor(microseconds(50)) ? 1 : 0;
  stop.store(true);
  caller.join();
  EXPECT_LE(woken, calls.load()) << "a call wakes once";
}

}  // namespace
}  // namespace weft::internal
