// The phases of a session, compared with the drawing in the header, and the reason of its end.
#include "weft/rpc/protocol/native/session_phase.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/drawn_states.h"

namespace weft::internal::native {
namespace {

using State = SessionPhase::State;

const std::vector<std::string> kNames{"kOpening", "kHello", "kVerdict", "kUp", "kEnding", "kEnded"};

TEST(SessionPhase, GoesAsItsHeaderDrawsIt) {
  EXPECT_EQ(test::Allowed(kNames, &SessionPhase::MayGo),
            test::DrawnIn("rpc/protocol/native/session_phase.h", kNames));
}

TEST(SessionPhase, TakesCallsWhenUpAndNothingOnceItEnds) {
  SessionPhase phase;
  EXPECT_TRUE(phase.is(State::kOpening));
  for (const State next : {State::kHello, State::kVerdict}) {
    phase.Set(next);
    EXPECT_FALSE(phase.up());
    EXPECT_FALSE(phase.ending());
  }
  phase.Set(State::kUp);
  EXPECT_TRUE(phase.up());
  EXPECT_FALSE(phase.ending());
  // Last words may still go out in kEnding; input is ignored there already.
  for (const State next : {State::kEnding, State::kEnded}) {
    phase.Set(next);
    EXPECT_FALSE(phase.up());
    EXPECT_TRUE(phase.ending());
  }
}

TEST(SessionPhase, KeepsTheFirstReason) {
  SessionPhase phase;
  EXPECT_FALSE(phase.has_reason());
  // A connection that ends without a word was closed by the peer.
  EXPECT_EQ(phase.reason(), CloseReason::kPeerClosed);
  phase.SetReason(CloseReason::kSilent);
  phase.SetReason(CloseReason::kLocal);
  EXPECT_TRUE(phase.has_reason());
  EXPECT_EQ(phase.reason(), CloseReason::kSilent);
}

}  // namespace
}  // namespace weft::internal::native
