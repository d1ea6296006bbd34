#include "weft/rpc/server/standing_queue.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

using std::chrono::milliseconds;

class StandingQueueTest : public testing::Test {
 protected:
  // Samples, one a millisecond.
  void Play(int count, Nanos wait) {
    for (int i = 0; i < count; ++i) queue_.Sample(now_ += milliseconds(1), wait);
  }
  StandingQueue queue_{milliseconds(5), milliseconds(100)};
  MonoTime now_{milliseconds(1000)};
};

TEST_F(StandingQueueTest, ABurstIsNoStandingQueue) {
  Play(99, milliseconds(50));
  EXPECT_FALSE(queue_.stands());
  Play(1, milliseconds(1));
  Play(200, milliseconds(4));
  EXPECT_FALSE(queue_.stands());
}

TEST_F(StandingQueueTest, StandsWhenNobodyOfAnIntervalCameAtOnce) {
  Play(100, milliseconds(6));
  EXPECT_FALSE(queue_.stands());
  Play(1, milliseconds(6));
  EXPECT_TRUE(queue_.stands());
}

TEST_F(StandingQueueTest, OneThatHardlyWaitedEndsIt) {
  Play(101, milliseconds(20));
  ASSERT_TRUE(queue_.stands());
  Play(1, milliseconds(5));
  EXPECT_FALSE(queue_.stands());
}

TEST_F(StandingQueueTest, GivesUpWhatWaitedTwiceTheTargetWhileItStands) {
  EXPECT_FALSE(queue_.GiveUp(milliseconds(1000)));
  Play(101, milliseconds(6));
  EXPECT_FALSE(queue_.GiveUp(milliseconds(10)));
  EXPECT_TRUE(queue_.GiveUp(milliseconds(11)));
}

TEST_F(StandingQueueTest, APauseIsNoWait) {
  Play(50, milliseconds(50));
  now_ += std::chrono::hours(1);
  Play(1, milliseconds(0));
  EXPECT_FALSE(queue_.stands());
  Play(99, milliseconds(3));
  EXPECT_FALSE(queue_.stands());
}

}  // namespace
}  // namespace weft
