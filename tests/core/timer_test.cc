// Timers of a loop: with a manual clock, where they are exact to the nanosecond; with the system's
// clock, where only "not early" can be tested; and at the loop's close.
#include "weft/core/timer.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "tests/support/watched.h"
#include "weft/core/manual_clock.h"

namespace weft::internal {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A loop whose time the test moves. Timers are made and destroyed on it.
class TimerTest : public testing::Test {
 protected:
  ~TimerTest() override {
    thread_.Run([this] { timers_.clear(); });
  }
  Timer& New(std::function<void()> fire) {
    thread_.Run([&] { timers_.push_back(std::make_unique<Timer>(thread_.loop(), fire)); });
    return *timers_.back();
  }
  void StartAfter(Timer& timer, Nanos d) {
    thread_.Run([&] { timer.StartAfter(d); });
  }

  ManualClock clock_;
  LoopThread thread_{clock_};
  std::vector<std::unique_ptr<Timer>> timers_;
};

TEST_F(TimerTest, FiresOnceWhenItsTimeHasCome) {
  int fired = 0;
  Timer& timer = New([&] { ++fired; });
  StartAfter(timer, milliseconds(10));
  thread_.Advance(milliseconds(10) - Nanos(1));
  EXPECT_EQ(fired, 0);
  thread_.Advance(Nanos(1));
  EXPECT_EQ(fired, 1);
  thread_.Advance(seconds(100));
  EXPECT_EQ(fired, 1);
}

TEST_F(TimerTest, KnowsWhetherAndWhenItFires) {
  Timer& timer = New([] {});
  const MonoTime at = clock_.Now() + milliseconds(7);
  thread_.Run([&] {
    EXPECT_FALSE(timer.armed());
    timer.StartAt(at);
    EXPECT_TRUE(timer.armed());
    EXPECT_EQ(timer.at(), at);
  });
  thread_.Advance(milliseconds(7));
  thread_.Run([&] { EXPECT_FALSE(timer.armed()); });
}

TEST_F(TimerTest, ARestartReplacesTheLastStart) {
  int fired = 0;
  Timer& timer = New([&] { ++fired; });
  StartAfter(timer, milliseconds(10));
  StartAfter(timer, milliseconds(30));
  thread_.Advance(milliseconds(29));
  EXPECT_EQ(fired, 0);
  StartAfter(timer, milliseconds(5));
  thread_.Advance(milliseconds(5));
  EXPECT_EQ(fired, 1);
  thread_.Advance(seconds(1));
  EXPECT_EQ(fired, 1);
}

TEST_F(TimerTest, StoppedItDoesNotFire) {
  int fired = 0;
  Timer& timer = New([&] { ++fired; });
  StartAfter(timer, milliseconds(10));
  thread_.Run([&] {
    // A second Stop is legal.
    timer.Stop();
    timer.Stop();
  });
  thread_.Advance(seconds(1));
  EXPECT_EQ(fired, 0);
}

TEST_F(TimerTest, NeverMeansStopped) {
  int fired = 0;
  Timer& timer = New([&] { ++fired; });
  StartAfter(timer, milliseconds(1));
  thread_.Run([&] {
    timer.StartAt(kNever);
    EXPECT_FALSE(timer.armed());
    // The sum saturates to never; an overflow would be in the past.
    timer.StartAfter(Nanos::max());
    EXPECT_FALSE(timer.armed());
  });
  thread_.Advance(seconds(1));
  EXPECT_EQ(fired, 0);
}

TEST_F(TimerTest, OneForThePastFiresInTheNextTurn) {
  int fired = 0;
  Timer& timer = New([&] { ++fired; });
  thread_.Run([&] {
    timer.StartAt(clock_.Now() - seconds(1));
    EXPECT_EQ(fired, 0) << "never inside Start";
  });
  thread_.Settle();
  EXPECT_EQ(fired, 1);
}

TEST_F(TimerTest, TheyFireInTheOrderOfTheirTimesAndThenOfTheirStarts) {
  std::vector<int> order;
  Timer& late = New([&] { order.push_back(3); });
  Timer& early = New([&] { order.push_back(1); });
  Timer& same = New([&] { order.push_back(2); });
  StartAfter(late, milliseconds(9));
  StartAfter(early, milliseconds(5));
  StartAfter(same, milliseconds(5));
  // All three are due in the same look.
  thread_.Advance(milliseconds(20));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST_F(TimerTest, MayBeRestartedInsideItsCallback) {
  int fired = 0;
  Timer* self = nullptr;
  Timer& timer = New([&] {
    if (++fired < 4) self->StartAfter(milliseconds(10));
  });
  self = &timer;
  StartAfter(timer, milliseconds(10));
  for (int i = 1; i <= 4; ++i) {
    thread_.Advance(milliseconds(10));
    EXPECT_EQ(fired, i);
  }
  thread_.Advance(seconds(1));
  EXPECT_EQ(fired, 4);
}

// RunDueTimers must not hold an iterator, or a list, across a callback.
TEST_F(TimerTest, MayStopAnotherThatIsDueAtTheSameTime) {
  int fired = 0;
  Timer* other = nullptr;
  Timer& first = New([&] { other->Stop(); });
  Timer& second = New([&] { ++fired; });
  other = &second;
  StartAfter(first, milliseconds(5));
  StartAfter(second, milliseconds(5));
  thread_.Advance(milliseconds(5));
  EXPECT_EQ(fired, 0);
}

TEST_F(TimerTest, MayBeDestroyedInsideItsCallback) {
  int fired = 0;
  std::unique_ptr<Timer> timer;
  thread_.Run([&] {
    timer = std::make_unique<Timer>(thread_.loop(), [&] {
      ++fired;
      timer.reset();
    });
    timer->StartAfter(milliseconds(1));
  });
  thread_.Advance(milliseconds(1));
  EXPECT_EQ(fired, 1);
  EXPECT_EQ(timer, nullptr);
}

TEST_F(TimerTest, OneThatRestartsForThePastDoesNotHoldUpTheOthers) {
  Watched<int> restarts{0};
  Notification fired;
  Timer* self = nullptr;
  const MonoTime past = clock_.Now() - seconds(1);
  Timer& eager = New([&] {
    restarts.Update([](int& n) { ++n; });
    if (!fired.HasHappened()) self->StartAt(past);
  });
  self = &eager;
  Timer& modest = New([&] { fired.Notify(); });
  thread_.Run([&] {
    eager.StartAt(past);
    modest.StartAt(clock_.Now());
  });
  // If the eager timer held up the modest one, twenty restarts would pass before the modest one
  // fires.
  EXPECT_TRUE(restarts.WaitFor([&](int n) { return n > 20 || fired.HasHappened(); }));
  EXPECT_TRUE(fired.HasHappened());
  thread_.Run([&] { eager.Stop(); });
}

TEST(TimerOnSystemClock, IsPreciseAndNeverEarly) {
  LoopThread thread;
  for (int i = 0; i < 20; ++i) {
    Notification fired;
    MonoTime at{}, seen{};
    std::unique_ptr<Timer> timer;
    thread.Run([&] {
      timer = std::make_unique<Timer>(thread.loop(), [&] {
        seen = Clock::System().Now();
        fired.Notify();
      });
      // The times are now and up to some milliseconds later, and no round numbers.
      at = Clock::System().Now() + microseconds(137 * i);
      timer->StartAt(at);
    });
    ASSERT_TRUE(fired.Wait());
    EXPECT_GE(seen, at);
    thread.Run([&] { timer.reset(); });
  }
}

TEST(TimerOnSystemClock, AnEarlierOneStartedLaterFiresFirst) {
  LoopThread thread;
  Watched<std::vector<std::string>> order;
  std::unique_ptr<Timer> late, early;
  thread.Run([&] {
    late = std::make_unique<Timer>(thread.loop(),
                                   [&] { order.Update([](auto& v) { v.push_back("late"); }); });
    early = std::make_unique<Timer>(thread.loop(),
                                    [&] { order.Update([](auto& v) { v.push_back("early"); }); });
    late->StartAfter(milliseconds(20));
    // The timerfd is set for the late timer and has to be set anew.
    early->StartAfter(milliseconds(2));
  });
  ASSERT_TRUE(order.WaitFor([](const auto& v) { return v.size() == 2; }));
  EXPECT_EQ(order.Get(), (std::vector<std::string>{"early", "late"}));
  thread.Run([&] {
    late.reset();
    early.reset();
  });
}

// A keep-alive restarts its timer all the time, while the timerfd stays set for the earliest of all
// these times.
TEST(TimerOnSystemClock, FiresAfterManyRestartsOfItsOwn) {
  LoopThread thread;
  Notification fired;
  std::unique_ptr<Timer> timer;
  thread.Run([&] {
    timer = std::make_unique<Timer>(thread.loop(), [&] { fired.Notify(); });
    for (int i = 0; i < 100; ++i) timer->StartAfter(milliseconds(1) + microseconds(i));
    timer->Stop();
    timer->StartAfter(milliseconds(3));
  });
  EXPECT_TRUE(fired.Wait());
  thread.Run([&] { timer.reset(); });
}

// The loop closes before any timer's time has come.
TEST(Timer, FiresAtTheLoopsCloseIfItAsksForThat) {
  ManualClock clock;
  std::vector<std::string> fired;
  {
    LoopThread thread(clock);
    std::unique_ptr<Timer> forgotten, first, second;
    thread.Run([&] {
      thread.loop().AssertInLoop();
      EventLoop& loop = thread.loop();
      forgotten = std::make_unique<Timer>(loop, [&] { fired.push_back("forgotten"); });
      second = std::make_unique<Timer>(
          loop, [&] { fired.push_back("second"); }, Timer::AtClose::kFires);
      first = std::make_unique<Timer>(
          loop, [&] { fired.push_back("first"), second->StartAfter(seconds(3)); },
          Timer::AtClose::kFires);
      forgotten->StartAfter(seconds(1));
      first->StartAfter(seconds(1));
      second->StartAfter(seconds(2));
    });
    thread.Stop();
  }
  // `second` was started anew inside `first`, and fires once all the same.
  EXPECT_EQ(fired, (std::vector<std::string>{"first", "second"}));
}

}  // namespace
}  // namespace weft::internal
