#include "weft/rpc/call/inbound_call.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "weft/core/manual_clock.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/call_pool.h"

namespace weft {
namespace {

// These tests have no loop: one thread is as good as it.
void BeTheLoop() WEFT_ASSERT_CAPABILITY(on_loop) {}

class Origin final : public CallOrigin {
 public:
  void SendAnswer(InboundCall&, const absl::Status&, ReplyMessage*, bool) override {}
  void OnCallReturned(InboundCall&) override {}
  void WatchDeadline(InboundCall&) override {}
  std::shared_ptr<CallTarget> Caller() override { return nullptr; }
  const std::string& peer() const override { return peer_; }
  const std::string& identity() const override { return peer_; }

 private:
  const std::string peer_ = "peer";
};

// What becomes of a call that `happened` to while it waited for a worker.
template <typename Happened>
absl::Status WantedAfter(Happened happened) {
  BeTheLoop();
  ManualClock clock;
  CallPool pool(nullptr);
  InboundCall& call = pool.Take();
  call.origin = std::make_shared<Origin>();
  call.clock = &clock;
  call.deadline = clock.Now() + std::chrono::seconds(1);
  happened(call, clock);
  const absl::Status status = call.CheckStillWanted();
  call.Refuse(absl::InternalError("enough"));
  pool.Collect();
  return status;
}

TEST(InboundCall, IsWantedAsLongAsNothingHappens) {
  EXPECT_TRUE(WantedAfter([](InboundCall&, ManualClock&) {}).ok());
}

TEST(InboundCall, ThatItsCallerGaveUpIsCancelled) {
  const absl::Status status =
      WantedAfter([](InboundCall& call, ManualClock&) { call.MarkCancelled(); });
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
}

// Its caller has cancelled nothing.
TEST(InboundCall, ThatTheServerHasNoTimeForIsUnavailable) {
  const absl::Status status =
      WantedAfter([](InboundCall& call, ManualClock&) { call.MarkStopped(); });
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
}

// The deadline cancels, too, but what it says is that it has passed.
TEST(InboundCall, WhoseTimeIsOverExceededItsDeadline) {
  const absl::Status status = WantedAfter([](InboundCall& call, ManualClock& clock) {
    clock.Advance(std::chrono::seconds(1));
    call.OnDeadline();
  });
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
}

}  // namespace
}  // namespace weft
