// The adaptive limit of calls, fed with samples of waits by hand. Each sample has its time with it,
// so the class needs no clock.
#include "weft/rpc/server/adaptive_limit.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr Nanos kTarget = milliseconds(5);

// Plays windows of samples.
class Played {
 public:
  explicit Played(int64_t least = 8, int64_t most = 10'000) : limit(least, most, kTarget) {}
  void Windows(int count, Nanos wait, int64_t under_way) {
    for (int w = 0; w < count; ++w) {
      // The window begins with its first sample.
      for (int i = 0; i <= 10; ++i) limit.Sample(now_ += milliseconds(2), wait, under_way);
    }
  }
  AdaptiveLimit limit;

 private:
  MonoTime now_{milliseconds(1000)};
};

TEST(AdaptiveLimit, GrowsWhileNobodyWaitsAndItIsUsed) {
  Played played;
  EXPECT_EQ(played.limit.limit(), AdaptiveLimit::kFirst);
  played.Windows(1, microseconds(10), 100);
  // 100 + 0.2 × √100
  EXPECT_EQ(played.limit.limit(), 102);
  played.Windows(300, microseconds(10), 1'000'000);
  EXPECT_GT(played.limit.limit(), 1000);
}

TEST(AdaptiveLimit, DoesNotGrowWhileHalfOfItIsIdle) {
  Played played;
  played.Windows(50, microseconds(10), 49);
  EXPECT_EQ(played.limit.limit(), 100);
  played.Windows(1, microseconds(10), 50);
  EXPECT_EQ(played.limit.limit(), 102);
}

TEST(AdaptiveLimit, FallsByTheGradient) {
  Played played;
  played.Windows(1, Nanos(0), 1);  // the smallest; one call fills no half
  played.Windows(1, kTarget / 4, 100);
  // 0.8 × 100 + 0.2 × (100 × 4/5 + 10)
  EXPECT_EQ(played.limit.limit(), 98);
}

TEST(AdaptiveLimit, NeverFallsFasterThanToNineTenths) {
  Played played;
  played.Windows(1, Nanos(0), 1);
  played.Windows(1, std::chrono::hours(1), 100);
  EXPECT_EQ(played.limit.limit(), 92);  // 0.8 × 100 + 0.2 × (100 / 2 + 10)
}

TEST(AdaptiveLimit, StaysWithinItsBounds) {
  Played played(30, 120);
  played.Windows(1, Nanos(0), 1);
  played.Windows(200, std::chrono::seconds(1), 200);
  EXPECT_EQ(played.limit.limit(), 30);
  Played growing(30, 120);
  growing.Windows(200, Nanos(0), 200);
  EXPECT_EQ(growing.limit.limit(), 120);
}

TEST(AdaptiveLimit, StartsWithinItsBounds) {
  EXPECT_EQ(AdaptiveLimit(200, 300, kTarget).limit(), 200);
  EXPECT_EQ(AdaptiveLimit(1, 50, kTarget).limit(), 50);
  EXPECT_EQ(AdaptiveLimit(60, 50, kTarget).limit(), 60);
}

TEST(AdaptiveLimit, WaitsForEnoughSamples) {
  AdaptiveLimit limit(8, 1000, kTarget);
  MonoTime now{milliseconds(1)};
  for (int i = 0; i < AdaptiveLimit::kMinSamples - 1; ++i) {
    limit.Sample(now += milliseconds(100), Nanos(0), 100);
  }
  EXPECT_EQ(limit.limit(), 100);
  limit.Sample(now += milliseconds(100), Nanos(0), 100);
  EXPECT_EQ(limit.limit(), 102);
}

// A server that was never anything but overloaded does not take that for its best.
TEST(AdaptiveLimit, FallsThoughItHasSeenNothingButLongWaits) {
  Played played;
  played.Windows(100, milliseconds(100), 1000);
  EXPECT_LE(played.limit.limit(), 12);
}

// One worker that serves a call in `service`, and always more calls than are let in: the wait is
// what those before a call take.
int64_t Settles(Nanos service, int64_t first_windows) {
  Played played(2);
  played.Windows(1, Nanos(0), 1);  // an idle moment
  for (int64_t w = 0; w < first_windows; ++w) {
    const int64_t limit = played.limit.limit();
    played.Windows(1, service * (limit - 1), limit);
  }
  return played.limit.limit();
}

TEST(AdaptiveLimit, SettlesWhereTheWaitIsAPartOfTheTarget) {
  for (const Nanos service :
       {Nanos(microseconds(50)), Nanos(microseconds(200)), Nanos(microseconds(800))}) {
    const int64_t settled = Settles(service, 400);
    EXPECT_NEAR(static_cast<double>(settled), static_cast<double>(Settles(service, 500)), 2);
    // The wait takes as much as the headroom √limit gives.
    const auto wait = static_cast<double>((service * (settled - 1)).count());
    EXPECT_LT(wait, static_cast<double>(kTarget.count())) << settled;
    EXPECT_GT(settled, 3) << "a worker must always find its next call";
  }
}

}  // namespace
}  // namespace weft::internal
