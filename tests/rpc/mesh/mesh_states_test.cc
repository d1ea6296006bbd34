// The states of the mesh go the ways that their headers draw.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/drawn_states.h"
#include "weft/rpc/mesh/peer_state.h"
#include "weft/rpc/mesh/slot_dialer.h"

namespace weft::internal {
namespace {

TEST(MeshStates, OfAPeerGoTheWaysThatAreDrawn) {
  const std::vector<std::string> names = {"kConnecting", "kUp",      "kSuspect",
                                          "kDown",       "kRefused", "kLeft"};
  EXPECT_EQ(test::DrawnIn("rpc/mesh/peer_state.h", names),
            test::Allowed(names, &PeerStates::MayGo));
}

TEST(MeshStates, OfASlotsDialerGoTheWaysThatAreDrawn) {
  std::vector<std::string> names = {"kResting", "kPausing", "kConnecting", "kClosed"};
  EXPECT_EQ(test::DrawnIn("rpc/mesh/slot_dialer.h", names),
            test::Allowed(names, &SlotDialer::MayGo));
}

}  // namespace
}  // namespace weft::internal
