// The counts and the histogram of a method's calls.
#include "weft/rpc/base/method_stats.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

using absl::StatusCode;

// The most that a bucket's value may be off, as a share of the value.
constexpr double kStep = 1.0 / 16;

TEST(MethodStats, CountsCallsByCode) {
  MethodStats stats("demo.Greeter/Say");
  stats.Add(StatusCode::kOk, Nanos(10));
  stats.Add(StatusCode::kOk, Nanos(20));
  stats.Add(StatusCode::kUnauthenticated, Nanos(30));
  stats.Add(static_cast<StatusCode>(99), Nanos(40));  // counted with the last that is known
  const MethodStatsSnapshot snapshot = stats.Snapshot();
  EXPECT_EQ(snapshot.method, "demo.Greeter/Say");
  EXPECT_EQ(snapshot.calls, 4);
  EXPECT_EQ(snapshot.errors(), 2);
  EXPECT_EQ(snapshot.by_code[0], 2);
  EXPECT_EQ(snapshot.by_code[16], 2);
}

TEST(MethodStats, SaysZeroWithoutCalls) {
  const MethodStats stats("m");
  for (const double q : {0.0, 0.5, 1.0}) EXPECT_EQ(stats.Snapshot().Quantile(q), Nanos::zero());
}

TEST(MethodStats, PutsEveryLatencyIntoABucketThatIsCloseToIt) {
  std::vector<int64_t> values = {0, 1, 15, 16, 17, 31, 32, 33, INT64_MAX - 1, INT64_MAX};
  // Both sides of each power of two, where the width of buckets changes.
  for (int bit = 5; bit < 63; ++bit) {
    for (const int64_t around : {-1, 0, 1}) values.push_back((int64_t{1} << bit) + around);
  }
  for (const int64_t value : values) {
    const size_t bucket = MethodStats::BucketOf(Nanos(value));
    ASSERT_LT(bucket, MethodStats::kBuckets) << value;
    const auto middle = static_cast<double>(MethodStats::LatencyOfBucket(bucket).count());
    EXPECT_NEAR(middle, static_cast<double>(value), static_cast<double>(value) * kStep) << value;
  }
  EXPECT_EQ(MethodStats::BucketOf(Nanos(-5)), 0u);  // a clock that went back
}

TEST(MethodStats, BucketsRiseAndHoldTheirOwnMiddle) {
  const size_t last = MethodStats::BucketOf(Nanos::max());
  for (size_t bucket = 0; bucket <= last; ++bucket) {
    EXPECT_EQ(MethodStats::BucketOf(MethodStats::LatencyOfBucket(bucket)), bucket);
    if (bucket > 0) {
      EXPECT_GT(MethodStats::LatencyOfBucket(bucket), MethodStats::LatencyOfBucket(bucket - 1));
    }
  }
}

TEST(MethodStats, QuantilesAreThoseOfTheSortedLatencies) {
  // A fixed seed, and latencies over several powers of ten as real ones have.
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> latency(10.0, 2.0);
  MethodStats stats("m");
  std::vector<int64_t> exact;
  for (int i = 0; i < 10'000; ++i) {
    exact.push_back(static_cast<int64_t>(latency(random)));
    stats.Add(StatusCode::kOk, Nanos(exact.back()));
  }
  std::sort(exact.begin(), exact.end());
  const MethodStatsSnapshot snapshot = stats.Snapshot();
  for (const double q : {0.0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    // The smallest latency that the share `q` of all stays within, by the sorted list.
    const size_t rank = std::max<size_t>(1, static_cast<size_t>(std::ceil(q * 10'000)));
    const auto expected = static_cast<double>(exact[rank - 1]);
    EXPECT_NEAR(static_cast<double>(snapshot.Quantile(q).count()), expected, expected * kStep + 1)
        << q;
  }
  // Shares outside 0 to 1 are taken for the nearer end.
  EXPECT_EQ(snapshot.Quantile(1.5), snapshot.Quantile(1.0));
  EXPECT_EQ(snapshot.Quantile(-1.0), snapshot.Quantile(0.0));
}

TEST(MethodStats, LosesNothingWhenManyThreadsAdd) {
  // More threads than cells, so that some share one.
  constexpr int kThreads = 80, kAdds = 2'000;
  MethodStats stats("m");
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&stats, t] {
      const auto code = static_cast<StatusCode>(t % 17);
      for (int i = 0; i < kAdds; ++i) stats.Add(code, Nanos(i));
    });
  }
  for (int i = 0; i < 50; ++i) EXPECT_LE(stats.Snapshot().calls, kThreads * kAdds);
  for (std::thread& thread : threads) thread.join();
  const MethodStatsSnapshot snapshot = stats.Snapshot();
  EXPECT_EQ(snapshot.calls, kThreads * kAdds);
  EXPECT_EQ(std::accumulate(snapshot.latency.begin(), snapshot.latency.end(), int64_t{0}),
            kThreads * kAdds);
  int64_t by_code = 0;
  for (const int64_t n : snapshot.by_code) by_code += n;
  EXPECT_EQ(by_code, kThreads * kAdds);
}

}  // namespace
}  // namespace weft::internal
