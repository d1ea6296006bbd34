// The cancelling of an inbound call, before and after somebody asks for its scope.
#include "weft/rpc/call/inbound_cancel.h"

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

TEST(InboundCancel, HandsOutTheScopeThatIsToBeStopped) {
  InboundCancel cancel;
  const auto scope = cancel.Scope(kNever);
  EXPECT_EQ(cancel.Scope(kNever), scope) << "there is one";
  EXPECT_FALSE(cancel.cancelled());
  EXPECT_EQ(cancel.Mark(), scope);
  EXPECT_TRUE(cancel.cancelled());
  EXPECT_FALSE(scope->stop_token().stop_requested()) << "by whoever marked it";
}

TEST(InboundCancel, StopsAScopeThatIsAskedForLater) {
  InboundCancel cancel;
  // Nobody has asked for a scope, so there is none to be stopped.
  EXPECT_EQ(cancel.Mark(), nullptr);
  EXPECT_TRUE(cancel.Scope(kNever)->stop_token().stop_requested());
}

TEST(InboundCancel, IsAsNewForTheNextCall) {
  InboundCancel cancel;
  const auto scope = cancel.Scope(kNever);
  cancel.MarkStopped();
  (void)cancel.Mark();
  EXPECT_TRUE(cancel.stopped());
  cancel.Reset();
  EXPECT_FALSE(cancel.cancelled());
  EXPECT_FALSE(cancel.stopped());
  // The old scope is still held here, so a new one cannot have its address by chance.
  EXPECT_NE(cancel.Scope(kNever), scope);
}

}  // namespace
}  // namespace weft::internal
