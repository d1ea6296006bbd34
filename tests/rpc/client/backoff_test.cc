// Pauses between attempts, from seeds that are fixed: each run draws the same.
#include "weft/rpc/client/backoff.h"

#include <chrono>

#include <gtest/gtest.h>

#include "weft/rpc/client/dial_pauses.h"

namespace weft::internal {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Backoff, GrowsByItsFactorToTheMost) {
  Backoff backoff(milliseconds(50), 1.6, milliseconds(300), 0, 1);
  EXPECT_EQ(backoff.Next(), milliseconds(50));
  EXPECT_EQ(backoff.Next(), milliseconds(80));
  EXPECT_EQ(backoff.Next(), milliseconds(128));
  EXPECT_NEAR(std::chrono::duration<double>(backoff.Next()).count(), 0.2048, 1e-6);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(backoff.Next(), milliseconds(300));
}

TEST(Backoff, BeginsAnewAfterSuccess) {
  Backoff backoff(milliseconds(50), 2, seconds(10), 0, 1);
  backoff.Next();
  backoff.Next();
  backoff.Reset();
  EXPECT_EQ(backoff.Next(), milliseconds(50));
}

TEST(Backoff, SpreadsByItsJitterDifferentlyForEachSeed) {
  Backoff one(milliseconds(100), 1, seconds(10), 0.2, 1);
  Backoff other(milliseconds(100), 1, seconds(10), 0.2, 2);
  Nanos least = Nanos::max(), most = Nanos::zero();
  int equal = 0;
  for (int i = 0; i < 1000; ++i) {
    const Nanos wait = one.Next();
    EXPECT_GE(wait, milliseconds(80));
    EXPECT_LE(wait, milliseconds(120));
    least = std::min(least, wait);
    most = std::max(most, wait);
    equal += wait == other.Next() ? 1 : 0;
  }
  // Of 1,000 waits some come near both ends of the spread.
  EXPECT_LT(least, milliseconds(85));
  EXPECT_GT(most, milliseconds(115));
  EXPECT_LT(equal, 10);
}

TEST(Backoff, TakesOddSettingsForTheNearestSensibleOnes) {
  Backoff shrinking(milliseconds(50), 0.5, seconds(1), -1, 1);
  EXPECT_EQ(shrinking.Next(), milliseconds(50));
  EXPECT_EQ(shrinking.Next(), milliseconds(50));
  Backoff first_over_most(seconds(5), 2, seconds(1), 0, 1);
  EXPECT_EQ(first_over_most.Next(), seconds(1));
  // The most spread there is: from nothing to twice the wait.
  Backoff wild(milliseconds(50), 1, seconds(1), 7, 1);
  for (int i = 0; i < 100; ++i) {
    const Nanos wait = wild.Next();
    EXPECT_GE(wait, Nanos::zero());
    EXPECT_LE(wait, milliseconds(100));
  }
  // As a double the largest wait is rounded up to a number that Nanos cannot hold.
  Backoff endless(milliseconds(50), 1e30, Nanos::max(), 0, 1);
  for (int i = 0; i < 10; ++i) EXPECT_GE(endless.Next(), milliseconds(50));
}

TEST(DialPauses, BeginAtASecondWhereThisSidesIdentityIsRefused) {
  const absl::Status lost = absl::UnavailableError("lost");
  const absl::Status denied = absl::PermissionDeniedError("no");
  const absl::Status unknown = absl::UnauthenticatedError("who are you?");
  DialPauses pauses(milliseconds(50), 2, seconds(10), 0, 1);
  EXPECT_EQ(pauses.Next(lost), milliseconds(50));
  EXPECT_EQ(pauses.Next(unknown), seconds(1));
  EXPECT_EQ(pauses.Next(denied), seconds(2));
  EXPECT_EQ(pauses.Next(lost), milliseconds(100)) << "failures grow by themselves";
  // 4 and 8 s, and then the most, 10.
  for (int i = 0; i < 4; ++i) pauses.Next(unknown);
  EXPECT_EQ(pauses.Next(unknown), seconds(10));
  pauses.Reset();
  EXPECT_EQ(pauses.Next(unknown), seconds(1));
  EXPECT_EQ(pauses.Next(lost), milliseconds(50));
  DialPauses short_ones(milliseconds(1), 2, milliseconds(5), 0, 1);
  EXPECT_EQ(short_ones.Next(unknown), milliseconds(5)) << "never longer than was asked for";
}

}  // namespace
}  // namespace weft::internal
