// The end of a call that is cancelled, stopped or out of time: as its worker finds it, and as its
// caller hears it.
#include "weft/rpc/call/inbound_call.h"

#include <functional>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "weft/core/manual_clock.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/call/inbound_stream.h"

namespace weft::internal {
namespace {

// These tests have no loop: one thread is as good as it.
void BeTheLoop() WEFT_ASSERT_CAPABILITY(on_loop) {}

class Origin final : public CallOrigin {
 public:
  void SendAnswer(InboundCall&, const absl::Status& status, ReplyMessage*, bool) override {
    sent = status;
  }
  void OnCallReturned(InboundCall&) override {}
  void WatchDeadline(InboundCall&) override {}
  const std::string& peer() const override { return peer_; }
  const std::string& identity() const override { return peer_; }

  absl::Status sent;

 private:
  const std::string peer_ = "peer";
};

// The result of a call that `happened` to while it waited for a worker.
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

// The caller has cancelled nothing, so CANCELLED would be untrue.
TEST(InboundCall, ThatTheServerHasNoTimeForIsUnavailable) {
  const absl::Status status =
      WantedAfter([](InboundCall& call, ManualClock&) { call.MarkStopped(); });
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
}

// A clock that lets something happen whenever its time is read.
class EventfulClock final : public Clock {
 public:
  explicit EventfulClock(std::function<void()> happening) : happening_(std::move(happening)) {}
  MonoTime Now() const override {
    happening_();
    return MonoTime();
  }

 private:
  const std::function<void()> happening_;
};

TEST(InboundCall, ThatTheServerStopsWhileItIsAskedIsNotSaidToBeCancelledByItsCaller) {
  std::unique_ptr<EventfulClock> eventful;
  const absl::Status status = WantedAfter([&](InboundCall& call, ManualClock&) {
    eventful = std::make_unique<EventfulClock>([&call] { call.MarkStopped(); });
    call.clock = eventful.get();
  });
  EXPECT_FALSE(absl::IsCancelled(status)) << status;
}

// The deadline cancels, too, but what it says is that it has passed.
TEST(InboundCall, WhoseTimeIsOverExceededItsDeadline) {
  const absl::Status status = WantedAfter([](InboundCall& call, ManualClock& clock) {
    clock.Advance(std::chrono::seconds(1));
    call.OnDeadline();
  });
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
}

// The status that the caller gets of a stream that `happened` to, and whose handler then answers
// `status`.
template <typename Happened>
absl::Status HeardAfter(Happened happened, const absl::Status& status) {
  BeTheLoop();
  ManualClock clock;
  CallPool pool(nullptr);
  InboundCall& call = pool.Take();
  const auto origin = std::make_shared<Origin>();
  call.origin = origin;
  call.clock = &clock;
  call.deadline = clock.Now() + std::chrono::seconds(1);
  call.stream = std::make_shared<InboundStream>(call);
  happened(call, clock);
  call.Answer(status, nullptr);
  pool.Collect();
  return origin->sent;
}

TEST(InboundCall, ThatStreamsEndsAsItsHandlerSays) {
  const auto nothing = [](InboundCall&, ManualClock&) {};
  EXPECT_TRUE(HeardAfter(nothing, absl::OkStatus()).ok());
  EXPECT_TRUE(absl::IsAborted(HeardAfter(nothing, absl::AbortedError("so be it"))));
}

// To its handler the stream's end looks like its caller's: what it answers is about a part.
TEST(InboundCall, ThatStreamsAndIsOutOfTimeDoesNotEndWithOk) {
  const auto late = [](InboundCall& call, ManualClock& clock) {
    clock.Advance(std::chrono::seconds(1));
    call.OnDeadline();
  };
  EXPECT_TRUE(absl::IsDeadlineExceeded(HeardAfter(late, absl::OkStatus())));
  EXPECT_TRUE(absl::IsDeadlineExceeded(HeardAfter(late, absl::CancelledError("nobody reads"))));
}

TEST(InboundCall, ThatStreamsWhenTheServerStopsIsUnavailable) {
  const auto stopped = [](InboundCall& call, ManualClock&) { call.MarkStopped(); };
  EXPECT_TRUE(absl::IsUnavailable(HeardAfter(stopped, absl::OkStatus())));
}

TEST(InboundCall, ThatStreamsAndIsCancelledDoesNotEndWithOk) {
  const auto cancelled = [](InboundCall& call, ManualClock&) { call.MarkCancelled(); };
  EXPECT_TRUE(absl::IsCancelled(HeardAfter(cancelled, absl::OkStatus())));
}

}  // namespace
}  // namespace weft::internal
