// Calls that wait, over a source that the test turns: in order, and each ended once.
#include "weft/rpc/client/waiting_room.h"

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protos/echo.weft.h"
#include "tests/rpc/protocol/native/held_echo.h"
#include "tests/support/watched.h"
#include "weft/core/runtime.h"

namespace weft {
namespace {

using absl::StatusCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr MethodInfo kMethod{"test.Store", "Put", "test.Store/Put", MethodKind::kUnary};

// A link that notes what is started on it.
class NotingLink final : public CallLink {
 public:
  explicit NotingLink(EventLoop& loop) : loop_(loop) {}
  StartResult TryStart(OutboundCall& call, absl::Status* why) override {
    if (gone) return StartResult::kGone;
    if (refuses) {
      *why = absl::ResourceExhaustedError("too much");
      return StartResult::kRefused;
    }
    started.Update([&](auto& all) { all.push_back(&call); });
    return StartResult::kStarted;
  }
  void StopStarting() override {}
  EventLoop& loop() const override { return loop_; }
  ConnectedPeer connected_peer() const override { return {}; }
  ConnectionVolume Volume() override { return {}; }
  void CancelCall(uint64_t) override {}

  std::atomic<bool> gone{false};
  std::atomic<bool> refuses{false};
  Watched<std::vector<OutboundCall*>> started{{}};

 private:
  EventLoop& loop_;
};

// Gives the link, an error, or neither, as the test says.
class TurnedSource final : public LinkSource {
 public:
  PickedLink Pick(const PickRequest& request, absl::Status* why) override {
    const std::shared_ptr<CallLink> held = link.Get();
    if (held != nullptr && request.gone.empty()) return {held.get(), 1, held};
    if (!request.wait_for_ready) *why = error.Get();
    return {};
  }
  void Watch(LinkObserver*) override {}
  void Connect(bool) override {
    asked.Update([](int& n) { ++n; });
  }
  void Close(std::function<void()> done) override { done(); }

  Watched<std::shared_ptr<CallLink>> link;
  Watched<absl::Status> error;
  Watched<int> asked{0};
};

class TestCall final : public OutboundCall {
 public:
  TestCall(const test::EchoRequest& message, const CallOptions& wishes)
      : OutboundCall(kMethod, message, wishes) {}
  bool wants_handle() const override { return true; }
  void Started(CallHandle h) override { handle = std::move(h); }

  CallHandle handle;
  Watched<std::vector<absl::Status>> ends{{}};

 private:
  void Complete(const CallEnd& end) override {
    EXPECT_FALSE(end.may_have_been_executed);
    ends.Update([&](auto& all) { all.push_back(end.status); });
  }
};

class WaitingRoomTest : public ::testing::Test {
 protected:
  WaitingRoomTest() { room_->SetKeeper(room_); }
  ~WaitingRoomTest() override {
    InLoop([] {});
  }

  std::unique_ptr<TestCall> New(bool wait_for_ready = false,
                                Nanos timeout = std::chrono::hours(1)) {
    auto call = std::make_unique<TestCall>(request_, CallOptions{.wait_for_ready = wait_for_ready});
    call->MakePlan().started = Clock::System().Now();
    call->MakePlan().deadline = call->plan().started + timeout;
    return call;
  }
  // Behind what is posted.
  void InLoop(std::function<void()> f) {
    std::promise<void> done;
    io().loop->Post([&](TaskFate) {
      f();
      done.set_value();
    });
    done.get_future().get();
  }
  IoThread& io() { return runtime_->loops().At(0); }
  static StatusCode EndOf(TestCall& call) {
    EXPECT_TRUE(call.ends.WaitFor([](const auto& all) { return !all.empty(); }));
    return call.ends.Get().at(0).code();
  }

  std::shared_ptr<Runtime> runtime_ = test::QuietRuntime();
  test::EchoRequest request_;
  TurnedSource source_;
  std::shared_ptr<NotingLink> link_ = std::make_shared<NotingLink>(*io().loop);
  std::shared_ptr<WaitingRoom> room_ =
      std::make_shared<WaitingRoom>(source_, io(), "there", 1000, 100'000);
};

TEST_F(WaitingRoomTest, SendsStraightOnWhereThereIsALink) {
  source_.link.Set(link_);
  const auto call = New();
  room_->Send(*call);
  EXPECT_THAT(link_->started.Get(), ElementsAre(call.get()));
  EXPECT_TRUE(room_->empty());
}

TEST_F(WaitingRoomTest, KeepsCallsInTheirOrderUntilALinkComes) {
  const auto first = New(), second = New(), third = New();
  room_->Send(*first);
  room_->Send(*second);
  EXPECT_TRUE(source_.asked.WaitFor([](int n) { return n >= 2; }));
  EXPECT_FALSE(room_->empty());
  // A link that is there does not let the third overtake those that wait.
  InLoop([&] {
    source_.link.Set(link_);
    room_->Send(*third);
    EXPECT_TRUE(link_->started.Get().empty());
  });
  ASSERT_TRUE(link_->started.WaitFor([](const auto& all) { return all.size() == 3; }));
  EXPECT_THAT(link_->started.Get(), ElementsAre(first.get(), second.get(), third.get()));
  EXPECT_TRUE(PollUntil([&] { return room_->empty(); }));
}

TEST_F(WaitingRoomTest, EndsWhatDoesNotWaitWhenALinkFails) {
  const auto hasty = New(), patient = New(/*wait_for_ready=*/true);
  room_->Send(*hasty);
  room_->Send(*patient);
  room_->OnNoLink(absl::UnavailableError("refused"), LinkObserver::NoLink::kFailed);
  EXPECT_EQ(EndOf(*hasty), StatusCode::kUnavailable);
  EXPECT_EQ(hasty->ends.Get().at(0).message(), "call test.Store/Put to there: refused");
  EXPECT_TRUE(patient->ends.Get().empty());
  source_.link.Set(link_);
  room_->OnLink();
  EXPECT_TRUE(link_->started.WaitFor([](const auto& all) { return all.size() == 1; }));
}

TEST_F(WaitingRoomTest, EndsAtOnceWhatTheSourceHasAnErrorFor) {
  source_.error.Set(absl::UnavailableError("pausing"));
  const auto call = New();
  room_->Send(*call);
  EXPECT_EQ(EndOf(*call), StatusCode::kUnavailable);
  EXPECT_TRUE(room_->empty());
  EXPECT_EQ(source_.asked.Get(), 0);
}

TEST_F(WaitingRoomTest, KeepsWhatALinkNoLongerTakes) {
  source_.link.Set(link_);
  link_->gone = true;
  const auto call = New();
  room_->Send(*call);
  EXPECT_FALSE(room_->empty());
  InLoop([] {});
  EXPECT_TRUE(call->ends.Get().empty());
  link_->gone = false;
  room_->OnLink();
  EXPECT_TRUE(link_->started.WaitFor([](const auto& all) { return all.size() == 1; }));
}

TEST_F(WaitingRoomTest, EndsWhatALinkRefuses) {
  source_.link.Set(link_);
  link_->refuses = true;
  const auto call = New();
  room_->Send(*call);
  EXPECT_EQ(EndOf(*call), StatusCode::kResourceExhausted);
}

TEST_F(WaitingRoomTest, EndsWhatIsCancelledOrHasNoTimeLeft) {
  const auto cancelled = New(), late = New(false, std::chrono::milliseconds(1));
  room_->Send(*cancelled);
  room_->Send(*late);
  cancelled->handle.Cancel();
  EXPECT_EQ(EndOf(*cancelled), StatusCode::kCancelled);
  EXPECT_EQ(EndOf(*late), StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(late->ends.Get().at(0).message()), HasSubstr("no connection within"));
  EXPECT_TRUE(PollUntil([&] { return room_->empty(); }));
}

TEST_F(WaitingRoomTest, LetsNobodyInOnceItIsClosed) {
  const auto before = New(/*wait_for_ready=*/true), after = New(/*wait_for_ready=*/true);
  room_->Send(*before);
  room_->Close();
  room_->Send(*after);
  EXPECT_EQ(EndOf(*after), StatusCode::kUnavailable);
  InLoop([&] { room_->EndAll(absl::UnavailableError("the channel was closed")); });
  EXPECT_EQ(EndOf(*before), StatusCode::kUnavailable);
  EXPECT_EQ(before->ends.Get().size(), 1u);
}

}  // namespace
}  // namespace weft
