// The counts of a client's calls. Latencies come from the time of a loop's turn where a thread is a
// loop's.
#include "weft/rpc/base/method_calls.h"

#include <atomic>
#include <latch>
#include <numeric>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "weft/core/event_loop.h"
#include "weft/core/manual_clock.h"

namespace weft::internal {
namespace {

CallStatsSnapshot SnapshotOf(const MethodCalls& calls) {
  CallStatsSnapshot sum;
  sum.method = calls.method();
  sum.latency.resize(MethodStats::kBuckets);
  calls.AddTo(&sum);
  return sum;
}

int64_t SumOf(const std::vector<int64_t>& latency) {
  return std::accumulate(latency.begin(), latency.end(), int64_t{0});
}

// This thread is a loop's, whose time the test moves.
class OnLoop : public ::testing::Test {
 protected:
  static EventLoopOptions Stepped(const Clock* clock) {
    EventLoopOptions options;
    options.clock = clock;
    options.stepped = true;
    return options;
  }
  ~OnLoop() override { loop_->CloseStepped(); }

  void EndAfter(Nanos took, const absl::Status& status = absl::OkStatus()) {
    calls_.Started();
    const MonoTime started = clock_.Now();
    clock_.Advance(took);
    loop_->Step();  // the time is read anew
    const EventLoop::Entered entered(*loop_);
    // In turn by those who know when it came, and by those who do not.
    knows_ = !knows_;
    calls_.Ended(status, started, knows_ ? clock_.Now() : MonoTime());
  }

  bool knows_ = false;
  ManualClock clock_;
  std::unique_ptr<EventLoop> loop_ = *EventLoop::Create(Stepped(&clock_));
  MethodCalls calls_{"demo.Greeter/Say"};
};

TEST_F(OnLoop, CallsAreCountedByCodeAndByLatency) {
  EndAfter(std::chrono::microseconds(100));
  EndAfter(std::chrono::microseconds(100));
  EndAfter(std::chrono::milliseconds(7), absl::UnavailableError("no"));
  EndAfter(std::chrono::milliseconds(7), absl::Status(static_cast<absl::StatusCode>(99), "own"));
  calls_.Started();
  const CallStatsSnapshot stats = SnapshotOf(calls_);
  EXPECT_EQ(stats.method, "demo.Greeter/Say");
  EXPECT_EQ(stats.started, 5);
  EXPECT_EQ(stats.in_flight, 1);
  EXPECT_EQ(stats.calls, 4);
  EXPECT_EQ(stats.errors(), 2);
  EXPECT_EQ(stats.by_code[0], 2);
  EXPECT_EQ(stats.by_code[static_cast<size_t>(absl::StatusCode::kUnavailable)], 1);
  // Codes that are not known count with the last one.
  EXPECT_EQ(stats.by_code[16], 1);
  // In the server's buckets.
  std::vector<int64_t> expected(MethodStats::kBuckets);
  expected[MethodStats::BucketOf(std::chrono::microseconds(100))] = 2;
  expected[MethodStats::BucketOf(std::chrono::milliseconds(7))] = 2;
  EXPECT_EQ(stats.latency, expected);
}

TEST_F(OnLoop, EveryLatencyHasTheBucketOfTheServers) {
  std::vector<int64_t> expected(MethodStats::kBuckets);
  const auto end_after = [&](int64_t ns) {
    EndAfter(Nanos(ns));
    ++expected[MethodStats::BucketOf(Nanos(std::max<int64_t>(16, ns)))];
  };
  // The first bucket is wider here: latencies below 16 ns count as 16 ns.
  for (const int64_t ns : {0, 1, 15, 16, 17, 31, 32}) end_after(ns);
  // Both sides of each power of two, where one chunk of the histogram ends and the next begins.
  for (int bit = 6; bit < 60; ++bit) {
    for (const int64_t around : {-1, 0, 1}) end_after((int64_t{1} << bit) + around);
  }
  EXPECT_EQ(SnapshotOf(calls_).latency, expected);
}

TEST_F(OnLoop, AStartBehindTheTimeOfTheTurnTookNoTime) {
  calls_.Started();
  const EventLoop::Entered entered(*loop_);
  calls_.Ended(absl::OkStatus(), loop_->clock().Now() + std::chrono::seconds(1));
  EXPECT_EQ(SnapshotOf(calls_).latency[MethodStats::BucketOf(Nanos(16))], 1);
}

TEST(MethodCalls, AnEndWithoutALoopTookNoTime) {
  MethodCalls calls("m");
  calls.Started();
  // This thread is no loop's, so it has no time of a turn.
  calls.Ended(absl::UnavailableError("closed"), MonoTime());
  const CallStatsSnapshot stats = SnapshotOf(calls);
  EXPECT_EQ(stats.errors(), 1);
  EXPECT_EQ(stats.in_flight, 0);
  EXPECT_LT(stats.Quantile(1), Nanos(32));
}

TEST(MethodCalls, CountsWhatIsDoneAgain) {
  MethodCalls calls("m");
  calls.AddRetry();
  for (int i = 0; i < 2; ++i) calls.AddHedge();
  for (int i = 0; i < 3; ++i) calls.AddResent();
  const CallStatsSnapshot stats = SnapshotOf(calls);
  EXPECT_EQ(stats.retries, 1);
  EXPECT_EQ(stats.hedges, 2);
  EXPECT_EQ(stats.resent, 3);
}

// More threads at once than have cells of their own, and, one after another, more than there are
// numbers.
TEST(MethodCalls, LosesNothingWhenManyThreadsCount) {
  constexpr int kThreads = 80, kCalls = 2'000, kRounds = 2;
  MethodCalls calls("m");
  for (int round = 0; round < kRounds; ++round) {
    std::latch all(kThreads);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&calls, &all, t] {
        calls.Started();
        all.arrive_and_wait();  // each has its number, or none
        for (int i = 1; i < kCalls; ++i) calls.Started();
        for (int i = 0; i < kCalls; ++i) {
          calls.Ended(t % 2 == 0 ? absl::OkStatus() : absl::AbortedError("x"), MonoTime(),
                      MonoTime(Nanos(100 + i)));
        }
      });
    }
    // Snapshots beside the counting: an end that is seen was started before.
    for (int i = 0; i < 50; ++i) {
      const CallStatsSnapshot stats = SnapshotOf(calls);
      EXPECT_GE(stats.in_flight, 0);
      EXPECT_GE(stats.by_code[0], 0);
    }
    for (std::thread& thread : threads) thread.join();
  }
  const CallStatsSnapshot stats = SnapshotOf(calls);
  // Exact, for all threads have ended.
  EXPECT_EQ(stats.started, kRounds * kThreads * kCalls);
  EXPECT_EQ(stats.in_flight, 0);
  EXPECT_EQ(stats.errors(), kRounds * kThreads / 2 * kCalls);
  EXPECT_EQ(SumOf(stats.latency), kRounds * kThreads * kCalls);
}

}  // namespace
}  // namespace weft::internal
