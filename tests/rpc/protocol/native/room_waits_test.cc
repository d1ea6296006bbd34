// The waiters for room in an output: each is told once so few bytes wait as it needs.
#include "weft/rpc/protocol/native/room_waits.h"

#include <memory>

#include <gtest/gtest.h>

namespace weft::internal::native {
namespace {

struct Told final : RoomObserver {
  void OnRoom() override { ++times; }
  int times = 0;
};

// Tells those that still live; returns how many.
int Tell(const RoomWaits::Observers& observers) {
  int told = 0;
  for (const auto& each : observers) {
    if (const auto observer = each.lock()) {
      observer->OnRoom();
      ++told;
    }
  }
  return told;
}

TEST(RoomWaits, TellsThoseWhoHaveRoomAndOnce) {
  RoomWaits waits;
  const auto little = std::make_shared<Told>();
  const auto much = std::make_shared<Told>();
  waits.Add(100, little);
  waits.Add(10, much);
  // `little` is told when at most 100 bytes wait, `much` when at most 10 do.
  EXPECT_EQ(Tell(waits.Take(101)), 0);
  EXPECT_EQ(Tell(waits.Take(100)), 1);
  EXPECT_EQ(little->times, 1);
  EXPECT_FALSE(waits.empty());
  EXPECT_EQ(Tell(waits.Take(0)), 1);
  EXPECT_EQ(much->times, 1);
  EXPECT_TRUE(waits.empty());
  EXPECT_EQ(little->times, 1);
}

TEST(RoomWaits, TellsAllAtTheEndAndNobodyWhoHasGone) {
  RoomWaits waits;
  const auto stays = std::make_shared<Told>();
  waits.Add(5, stays);
  // The observer's only owner goes at once; the waits keep no share.
  waits.Add(0, std::make_shared<Told>());
  EXPECT_EQ(Tell(waits.TakeAll()), 1);
  EXPECT_TRUE(waits.empty());
}

}  // namespace
}  // namespace weft::internal::native
