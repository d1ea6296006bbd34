// The room that a stream has for its transport's data, from one transport to the next.
#include "weft/rpc/call/transport_slot.h"

#include "gtest/gtest.h"

namespace weft::test {

using namespace internal;

namespace {

struct Part {
  int number = 5;
};

TEST(TransportSlot, BelongsToWhoTookItLast) {
  // Only their addresses count.
  const int places[2] = {};
  const auto* const first = reinterpret_cast<const StreamTransport*>(&places[0]);
  const auto* const second = reinterpret_cast<const StreamTransport*>(&places[1]);
  TransportSlot slot;
  EXPECT_FALSE(slot.OwnedBy(first));
  slot.Emplace<Part>(first).number = 7;
  EXPECT_TRUE(slot.OwnedBy(first));
  EXPECT_FALSE(slot.OwnedBy(second));
  EXPECT_EQ(slot.As<Part>().number, 7);
  slot.Release();
  EXPECT_FALSE(slot.OwnedBy(first));
  EXPECT_EQ(slot.Emplace<Part>(second).number, 5) << "it begins anew";
  EXPECT_TRUE(slot.OwnedBy(second));
}

}  // namespace
}  // namespace weft::test
