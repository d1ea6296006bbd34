// Round trips and clocks given by hand; no time passes.
#include "weft/rpc/protocol/native/ping_times.h"

#include <limits>

#include <gtest/gtest.h>

namespace weft::internal::native {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr MonoTime kStart = MonoTime(seconds(100));
constexpr int64_t kEpoch = 1'780'000'000'000'000;

TEST(PingTimes, KnowsNothingBeforeTheFirstAnswer) {
  const PeerTiming timing = PingTimes().At(kStart);
  EXPECT_EQ(timing.round_trip, absl::InfiniteDuration());
  EXPECT_EQ(timing.min_round_trip, absl::InfiniteDuration());
  EXPECT_EQ(timing.clock_error, absl::InfiniteDuration());
}

TEST(PingTimes, ShowsTheLastRoundTripAndTheShortestOfTheLastFew) {
  PingTimes times;
  times.Add(microseconds(500));
  times.Add(microseconds(200));
  times.Add(microseconds(300));
  EXPECT_EQ(times.At(kStart).round_trip, absl::Microseconds(300));
  EXPECT_EQ(times.At(kStart).min_round_trip, absl::Microseconds(200));
  // The path has become longer: the short one is forgotten, and not before eight later ones.
  int later = 0;
  // The minimum is of the present window of eight and the one before, so it lasts for 8 to 16
  // answers.
  while (times.At(kStart).min_round_trip == absl::Microseconds(200)) {
    times.Add(milliseconds(7));
    ASSERT_LT(++later, 100);
  }
  EXPECT_GE(later, 8);
  EXPECT_LE(later, 16);
  EXPECT_EQ(times.At(kStart).min_round_trip, absl::Milliseconds(7));
}

TEST(PingTimes, TakesAnyRoundTrip) {
  PingTimes times;
  times.Add(Nanos(0));
  EXPECT_EQ(times.At(kStart).round_trip, absl::ZeroDuration());
  times.Add(hours(24 * 365));
  EXPECT_GT(times.At(kStart).round_trip, absl::Hours(1));
  EXPECT_EQ(times.At(kStart).min_round_trip, absl::ZeroDuration());
}

// The peer's clock is 5 ms ahead, and the answer comes back three times as slowly as the question
// went.
TEST(PingTimes, KnowsThePeersClockToHalfARoundTrip) {
  PingTimes times;
  times.Add(microseconds(400));
  times.AddClock(kStart, microseconds(400), kEpoch + 400, kEpoch + 100 + 5'000);
  const PeerTiming timing = times.At(kStart);
  // Half of the round trip, and 1 µs because clocks are read to a microsecond.
  EXPECT_EQ(timing.clock_error, absl::Microseconds(201));
  EXPECT_EQ(timing.clock_offset, absl::Microseconds(4'900));
  EXPECT_LE(absl::AbsDuration(timing.clock_offset - absl::Milliseconds(5)), timing.clock_error);
}

TEST(PingTimes, KeepsTheBestOfTheLastEight) {
  PingTimes times;
  // `ahead` differs for each kind of answer, and so tells which one counts.
  const auto add = [&](int64_t us, int64_t ahead) {
    times.Add(microseconds(us));
    times.AddClock(kStart, microseconds(us), kEpoch + us / 2,
                   static_cast<uint64_t>(kEpoch + ahead));
  };
  add(100, 1);
  for (int i = 0; i < 7; ++i) {
    add(1'000, 2);
    EXPECT_EQ(times.At(kStart).clock_offset, absl::Microseconds(1)) << i;
  }
  add(1'000, 2);
  EXPECT_EQ(times.At(kStart).clock_offset, absl::Microseconds(2));
  add(500, 3);
  EXPECT_EQ(times.At(kStart).clock_offset, absl::Microseconds(3));
}

// 100 in a million: 36 ms in six minutes.
TEST(PingTimes, IsLessSureOfAClockThatItAskedLongAgo) {
  PingTimes times;
  times.Add(microseconds(100));
  times.AddClock(kStart, microseconds(100), kEpoch, kEpoch);
  EXPECT_EQ(times.At(kStart + seconds(360)).clock_error,
            absl::Microseconds(51) + absl::Milliseconds(36));
  times.Add(milliseconds(1));
  times.AddClock(kStart + seconds(360), milliseconds(1), kEpoch, kEpoch + 777);
  EXPECT_EQ(times.At(kStart + seconds(360)).clock_offset, absl::Microseconds(777 + 500));
}

TEST(PingTimes, TakesAnyClock) {
  for (const uint64_t peer : {uint64_t{0}, UINT64_MAX, uint64_t{1} << 63}) {
    for (const int64_t own : {int64_t{0}, kEpoch, std::numeric_limits<int64_t>::max()}) {
      PingTimes times;
      times.Add(seconds(1));
      times.AddClock(kStart, seconds(1), own, peer);
      // The difference of such clocks has no 64 bits with a sign: it wraps and must not overflow.
      EXPECT_EQ(times.At(kStart).clock_error, absl::Microseconds(500'001));
    }
  }
}

}  // namespace
}  // namespace weft::internal::native
