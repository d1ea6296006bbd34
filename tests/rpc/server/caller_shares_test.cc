// The shares of a connection in the queues of its calls.
#include "weft/rpc/server/caller_shares.h"

#include <gtest/gtest.h>

#include "tests/rpc/server/served_calls.h"

namespace weft::internal {
namespace {

class CallerSharesTest : public ServedCalls {};

TEST_F(CallerSharesTest, AreAConnectionsOwnAndOneToEachPool) {
  ASSERT_TRUE(dispatcher_.Configure(kKeyed, {.pool = "other"}).ok());
  Serve();
  const CallerShares shares(dispatcher_);
  OnLoop([&] {
    const auto one = Connect(), other = Connect();
    const auto of = [&](std::string_view method, const std::shared_ptr<Origin>& origin) {
      InboundCall& call = Come(method, origin);
      const std::shared_ptr<WorkShare> share = shares.Of(call);
      // The answer gives the call back; its connection keeps the share.
      call.Refuse(absl::CancelledError());
      return share;
    };
    const auto say = of(kSay, one), keyed = of(kKeyed, one), inlined = of(kInline, one);
    EXPECT_EQ(of(kSay, one), say);
    EXPECT_EQ(of(kKeyed, one), keyed);
    EXPECT_EQ(of(kInline, one), inlined);
    EXPECT_NE(say, keyed);
    EXPECT_NE(say, inlined);
    EXPECT_NE(keyed, inlined);
    EXPECT_NE(of(kSay, other), say);
    // One for each of the two pools, and one for inline methods.
    EXPECT_EQ(one->shares.size(), 3u);
  });
}

}  // namespace
}  // namespace weft::internal
