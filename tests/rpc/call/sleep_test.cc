// Coroutines that sleep, by a clock that the test moves, in calls of handlers, and in virtual time.
#include "weft/rpc/call/sleep.h"

#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/watched.h"
#include "weft/core/block_on.h"
#include "weft/core/coro.h"
#include "weft/core/manual_clock.h"
#include "weft/core/runtime.h"
#include "weft/core/when_all.h"
#include "weft/rpc/call/call_scope.h"
#include "weft/rpc/simulation.h"

namespace weft::internal {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

Coro<absl::Status> Doze(Runtime* runtime, absl::Duration d) {
  co_return co_await Sleep(*runtime, d);
}

class SleepTest : public testing::Test {
 protected:
  SleepTest() {
    auto runtime = Runtime::Create({.log_level = LogLevel::kOff, .clock = &clock_});
    EXPECT_TRUE(runtime.ok());
    runtime_ = *std::move(runtime);
  }
  // How the sleep of a coroutine that begins here and now ends.
  std::shared_ptr<Watched<std::optional<absl::Status>>> Begin(absl::Duration d) {
    auto ended = std::make_shared<Watched<std::optional<absl::Status>>>();
    Spawn(Doze(runtime_.get(), d),
          [ended](std::optional<absl::Status> s, std::exception_ptr) { ended->Set(std::move(s)); });
    return ended;
  }

  ManualClock clock_;
  std::shared_ptr<Runtime> runtime_;
};

TEST_F(SleepTest, EndsWhenTheRuntimesClockSaysSoAndNotBefore) {
  const auto second = Begin(absl::Seconds(1));
  const auto two = Begin(absl::Seconds(2));
  clock_.Advance(milliseconds(999));
  // The manual clock returns when the loops have run their timers, so nothing is still on its way.
  EXPECT_EQ(second->Get(), std::nullopt);
  clock_.Advance(milliseconds(1));
  EXPECT_EQ(second->Get(), absl::OkStatus());
  EXPECT_EQ(two->Get(), std::nullopt);
  clock_.Advance(seconds(1));
  EXPECT_EQ(two->Get(), absl::OkStatus());
}

TEST_F(SleepTest, OfNoTimeDoesNotWait) {
  EXPECT_EQ(BlockOn(Doze(runtime_.get(), absl::ZeroDuration())), absl::OkStatus());
  EXPECT_EQ(BlockOn(Doze(runtime_.get(), -absl::InfiniteDuration())), absl::OkStatus());
}

TEST_F(SleepTest, AllOfThemAtOnceTakeAsLongAsTheLongest) {
  std::vector<SleepAwaiter> sleeps;
  for (int i = 1; i <= 3; ++i) sleeps.push_back(Sleep(*runtime_, absl::Seconds(i)));
  Watched<std::vector<absl::Status>> ended;
  Spawn(WhenAll(std::move(sleeps)),
        [&](const std::optional<std::vector<absl::Status>>& all, const std::exception_ptr&) {
          if (all.has_value()) ended.Set(*all);
        });
  clock_.Advance(seconds(2));
  EXPECT_THAT(ended.Get(), ElementsAre());
  clock_.Advance(seconds(1));
  EXPECT_THAT(ended.Get(), ElementsAre(absl::OkStatus(), absl::OkStatus(), absl::OkStatus()));
}

// One sleeps, and the other moves the time.
TEST_F(SleepTest, AThreadThatWaitsForItGoesOnItself) {
  const auto moves = [](ManualClock* clock) -> Coro<void> {
    clock->Advance(seconds(1));
    co_return;
  };
  const auto both = BlockOn(WhenAll(Sleep(*runtime_, absl::Seconds(1)), moves(&clock_)));
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(std::get<0>(*both), absl::OkStatus());
}

TEST_F(SleepTest, EndsWithItsRuntime) {
  const auto hour = Begin(absl::Hours(1));
  const auto always = Begin(absl::InfiniteDuration());
  clock_.Advance(seconds(1));  // the timers run
  runtime_.reset();
  ASSERT_TRUE(hour->Get().has_value() && always->Get().has_value());
  EXPECT_TRUE(absl::IsCancelled(*hour->Get())) << *hour->Get();
  EXPECT_TRUE(absl::IsCancelled(*always->Get())) << *always->Get();
}

TEST_F(SleepTest, BegunWhenItsRuntimeHasStoppedItEndsAtOnce) {
  // The sleep is made and not awaited yet: it holds what it needs of the runtime.
  SleepAwaiter sleep = Sleep(*runtime_, absl::Hours(1));
  runtime_.reset();
  const auto waits = [](SleepAwaiter s) -> Coro<absl::Status> { co_return co_await std::move(s); };
  EXPECT_TRUE(absl::IsCancelled(BlockOn(waits(std::move(sleep)))));
}

// ---- inside a handler's call

TEST_F(SleepTest, EndsByTheDeadlineOfTheCall) {
  const CallScope::Enter in_call(std::make_shared<CallScope>(clock_.Now() + seconds(2)));
  const auto within = Begin(absl::Seconds(1));
  const auto beyond = Begin(absl::Seconds(3));
  clock_.Advance(seconds(1));
  EXPECT_EQ(within->Get(), absl::OkStatus());
  EXPECT_EQ(beyond->Get(), std::nullopt);
  clock_.Advance(seconds(1));
  ASSERT_TRUE(beyond->Get().has_value());
  EXPECT_TRUE(absl::IsDeadlineExceeded(*beyond->Get())) << *beyond->Get();
  // The deadline has passed: the sleep does not begin.
  const auto too_late = Begin(absl::Seconds(1));
  ASSERT_TRUE(too_late->Get().has_value());
  EXPECT_TRUE(absl::IsDeadlineExceeded(*too_late->Get())) << *too_late->Get();
}

TEST_F(SleepTest, EndsWithTheCancellingOfTheCall) {
  const auto scope = std::make_shared<CallScope>(kNever);
  const CallScope::Enter in_call(scope);
  const auto before = Begin(absl::Hours(1));
  scope->Stop();
  ASSERT_TRUE(before->WaitFor([](const auto& ended) { return ended.has_value(); }));
  EXPECT_TRUE(absl::IsCancelled(*before->Get())) << *before->Get();
  const auto after = Begin(absl::Hours(1));
  ASSERT_TRUE(after->Get().has_value());
  EXPECT_TRUE(absl::IsCancelled(*after->Get())) << *after->Get();
}

TEST_F(SleepTest, IsGivenUpWithItsCoroutine) {
  const auto scope = std::make_shared<CallScope>(kNever);
  {
    const CallScope::Enter in_call(scope);
    auto sleeping = Doze(runtime_.get(), absl::Seconds(1));
    // Runs the coroutine to its sleep; the end of the block destroys it there.
    CoroStack::Resume(sleeping.await_suspend(std::noop_coroutine()));
  }
  clock_.Advance(seconds(1));
  // The sleep that was given up has let go of its call.
  EXPECT_EQ(scope.use_count(), 1);
  scope->Stop();
}

// ---- in a simulation

TEST(SimulatedSleep, FollowsTheVirtualTime) {
  Simulation sim;
  std::vector<absl::Duration> woken;
  const auto program = [](SimulatedNode* node, std::vector<absl::Duration>* out) -> Coro<void> {
    for (int i = 1; i <= 3; ++i) {
      const absl::Status slept = co_await Sleep(*node->runtime(), absl::Minutes(i));
      if (!slept.ok()) co_return;
      out->push_back(node->Now());
    }
    const absl::Status last = co_await Sleep(*node->runtime(), absl::Hours(1));
    EXPECT_TRUE(absl::IsCancelled(last)) << last;
    // Says that the coroutine has come to its end.
    out->push_back(absl::InfiniteDuration());
  };
  sim.AddNode("a", [&](SimulatedNode& node) {
    Spawn(program(&node, &woken));
    return std::make_shared<int>();
  });
  sim.RunFor(absl::Minutes(10));
  // Each sleep begins where the one before has ended.
  EXPECT_THAT(woken, ElementsAre(absl::Minutes(1), absl::Minutes(3), absl::Minutes(6)));
  // The node's runtime stops, and with it the sleep of an hour.
  sim.Kill("a");
  EXPECT_EQ(woken.size(), 4U);
}

}  // namespace
}  // namespace weft::internal
