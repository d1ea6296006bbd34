// The states of a server, compared with the drawing in the header.
#include "weft/rpc/protocol/server_state.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/drawn_states.h"

namespace weft::internal {
namespace {

TEST(ServerStates, AreAsTheHeaderDrawsThem) {
  const std::vector<std::string> states{"kNew", "kServing", "kDraining", "kStopped"};
  const test::Transitions drawn = test::DrawnIn("rpc/protocol/server_state.h", states);
  // A drawing that is not found would be empty.
  EXPECT_EQ(drawn.size(), 5u);
  EXPECT_EQ(drawn, test::Allowed<ServerState>(states, MayGo));
}

}  // namespace
}  // namespace weft::internal
