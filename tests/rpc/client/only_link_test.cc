// A source that has one link and will have no other.
#include "weft/rpc/client/only_link.h"

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

class SomeLink final : public CallLink {
 public:
  StartResult TryStart(OutboundCall&, absl::Status*) override { return StartResult::kGone; }
  void StopStarting() override {}
  EventLoop& loop() const override { std::abort(); }
  ConnectedPeer connected_peer() const override { return {}; }
  ConnectionVolume Volume() override { return {}; }
  void CancelCall(uint64_t) override {}
};

TEST(OnlyLink, IsGivenAsLongAsItTakesCalls) {
  SomeLink link;
  OnlyLink source(link);
  absl::Status why;
  // The link's number. A link that was tried is given again, because there is no other.
  const uint64_t tried[] = {1};
  EXPECT_EQ(source.Pick({}, &why).link, &link);
  EXPECT_EQ(source.Pick({.attempt = 2, .tried = tried}, &why).link, &link);
  EXPECT_TRUE(source.WhyOver().empty());
}

TEST(OnlyLink, HasNoOtherToWaitFor) {
  SomeLink link;
  OnlyLink source(link);
  absl::Status why;
  const uint64_t gone[] = {source.Pick({}, &why).number};
  EXPECT_EQ(source.Pick({.gone = gone, .wait_for_ready = true}, &why).link, nullptr);
  EXPECT_TRUE(absl::IsUnavailable(why)) << why;
  EXPECT_EQ(source.WhyOver(), OnlyLink::kGone);
}

}  // namespace
}  // namespace weft::internal
