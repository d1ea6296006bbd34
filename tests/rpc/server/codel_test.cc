// The look at waits that finds a standing queue: target 5 ms, interval 100 ms. The test's clock
// moves by one millisecond with each sample.
#include "weft/rpc/server/codel.h"

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

using std::chrono::milliseconds;

class CoDelTest : public testing::Test {
 protected:
  // Samples, one a millisecond.
  void Play(int count, Nanos wait) {
    for (int i = 0; i < count; ++i) queue_.Sample(now_ += milliseconds(1), wait);
  }
  CoDel queue_{milliseconds(5), milliseconds(100)};
  MonoTime now_{milliseconds(1000)};
};

TEST_F(CoDelTest, ABurstIsNoStandingQueue) {
  Play(99, milliseconds(50));
  EXPECT_FALSE(queue_.stands());
  Play(1, milliseconds(1));
  Play(200, milliseconds(4));
  EXPECT_FALSE(queue_.stands());
}

TEST_F(CoDelTest, StandsWhenNobodyOfAnIntervalCameAtOnce) {
  // The interval begins with the first sample, so the hundredth comes after 99 ms.
  Play(100, milliseconds(6));
  EXPECT_FALSE(queue_.stands());
  Play(1, milliseconds(6));
  EXPECT_TRUE(queue_.stands());
}

TEST_F(CoDelTest, OneThatHardlyWaitedEndsIt) {
  Play(101, milliseconds(20));
  ASSERT_TRUE(queue_.stands());
  Play(1, milliseconds(5));
  EXPECT_FALSE(queue_.stands());
}

TEST_F(CoDelTest, GivesUpWhatWaitedTwiceTheTargetWhileItStands) {
  EXPECT_FALSE(queue_.GiveUp(milliseconds(1000)));
  Play(101, milliseconds(6));
  // Just twice the target is still served.
  EXPECT_FALSE(queue_.GiveUp(milliseconds(10)));
  EXPECT_TRUE(queue_.GiveUp(milliseconds(11)));
}

TEST_F(CoDelTest, APauseIsNoWait) {
  Play(50, milliseconds(50));
  // No call comes for an hour. The interval is long over then, but the next call finds an empty
  // queue.
  now_ += std::chrono::hours(1);
  Play(1, milliseconds(0));
  EXPECT_FALSE(queue_.stands());
  Play(99, milliseconds(3));
  EXPECT_FALSE(queue_.stands());
}

}  // namespace
}  // namespace weft::internal
