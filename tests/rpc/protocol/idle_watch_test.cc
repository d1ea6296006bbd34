// When a connection counts as idle, look by look; no time passes.
#include "weft/rpc/protocol/idle_watch.h"

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

ConnectionVolume Volume(size_t calls, uint64_t begun) {
  ConnectionVolume volume;
  volume.calls = calls;
  volume.calls_begun = begun;
  return volume;
}

TEST(IdleWatch, IsIdleAfterAWholeTimeoutWithoutACall) {
  IdleWatch watch;
  // The first look only learns how many calls have begun. Five more without one make a timeout.
  for (int i = 0; i <= IdleWatch::kLooks; ++i) EXPECT_FALSE(watch.Look(Volume(0, 7))) << i;
  EXPECT_TRUE(watch.Look(Volume(0, 7)));
}

TEST(IdleWatch, BeginsAnewWithEachCall) {
  IdleWatch watch;
  for (int i = 0; i <= IdleWatch::kLooks; ++i) watch.Look(Volume(0, 7));
  EXPECT_FALSE(watch.Look(Volume(0, 8))) << "one came and went between two looks";
  for (int i = 0; i < IdleWatch::kLooks; ++i) EXPECT_FALSE(watch.Look(Volume(0, 8)));
  EXPECT_TRUE(watch.Look(Volume(0, 8)));
}

TEST(IdleWatch, IsNeverIdleWithACallUnderWay) {
  IdleWatch watch;
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(watch.Look(Volume(1, 7)));
}

}  // namespace
}  // namespace weft::internal
