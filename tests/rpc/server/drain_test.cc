#include "weft/rpc/server/drain.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/drawn_states.h"

namespace weft::internal {
namespace {

// The work of each step is tested over whole servers: tests/integration/drain_test.cc.
TEST(Drain, GoesFromStepToStepAsItsHeaderDraws) {
  const std::vector<std::string> steps{"kNone", "kCalls", "kAuthenticators", "kHandlers",
                                       "kDrained"};
  const test::Transitions drawn = test::DrawnIn("rpc/server/drain.h", steps);
  EXPECT_EQ(drawn.size(), 4u);
  EXPECT_EQ(drawn, test::Allowed<Drain::Step>(steps, Drain::MayGo));
}

}  // namespace
}  // namespace weft::internal
