// How many threads of a pool may wait for peers at once.
#include "weft/core/peer_waits.h"

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

TEST(PeerWaits, AreAtMostHalfOfTheThreads) {
  PeerWaits waits(5);
  EXPECT_EQ(waits.max(), 2);
  EXPECT_TRUE(waits.TryBegin());
  EXPECT_TRUE(waits.TryBegin());
  EXPECT_FALSE(waits.TryBegin());
  EXPECT_EQ(waits.count(), 2) << "one that was refused is not counted";
  waits.End();
  EXPECT_TRUE(waits.TryBegin());
}

TEST(PeerWaits, LetAThreadThatIsAloneWait) {
  PeerWaits waits(1);
  EXPECT_TRUE(waits.TryBegin());
  EXPECT_FALSE(waits.TryBegin());
}

}  // namespace
}  // namespace weft::internal
