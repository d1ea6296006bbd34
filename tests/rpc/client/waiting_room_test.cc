// Calls that wait, over a source that the test turns: in order, and each ended once.
#include "weft/rpc/client/waiting_room.h"

#include <algorithm>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protos/echo.weft.h"
#include "tests/rpc/protocol/native/held_echo.h"
#include "tests/support/noting_call.h"
#include "tests/support/noting_link.h"
#include "tests/support/watched.h"
#include "weft/core/runtime.h"

namespace weft::internal {
namespace {

using absl::StatusCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr MethodInfo kMethod{"test.Store", "Put", "test.Store/Put", MethodKind::kUnary};
constexpr MethodInfo kOrdered{
    .service = "test.Store", .name = "Append", .full_name = "test.Store/Append", .ordered = true};

// Gives the first link that may be picked, an error, or neither, as the test says. Ordered calls
// are for the first one.
class TurnedSource final : public LinkSource {
 public:
  PickedLink Pick(const PickRequest& request, absl::Status* why) override {
    const std::vector<std::shared_ptr<CallLink>> all = links.Get();
    for (uint64_t number = 1; number <= all.size(); ++number) {
      const bool gone =
          std::find(request.gone.begin(), request.gone.end(), number) != request.gone.end();
      if (!gone) return {all[number - 1].get(), number, all[number - 1]};
      // The mark of an ordered call.
      if (request.hash != 0) break;
    }
    // A call that waits for a link is given no reason to end.
    if (!request.wait_for_ready) *why = error.Get();
    return {};
  }
  void Watch(LinkObserver*) override {}
  void Connect(bool) override {
    asked.Update([](int& n) { ++n; });
  }
  void Close(std::function<void()> done) override { done(); }

  Watched<std::vector<std::shared_ptr<CallLink>>> links;
  Watched<absl::Status> error;
  Watched<int> asked{0};
};

class WaitingRoomTest : public ::testing::Test {
 protected:
  WaitingRoomTest() { room_->SetKeeper(room_); }
  ~WaitingRoomTest() override {
    // Tasks that the room has posted refer to the source, which goes with this object.
    InLoop([] {});
  }

  std::unique_ptr<NotingCall> New(bool wait_for_ready = false,
                                  Nanos timeout = std::chrono::hours(1)) {
    return std::make_unique<NotingCall>(kMethod, request_,
                                        CallOptions{.wait_for_ready = wait_for_ready}, timeout);
  }
  // A call that waits for room.
  std::unique_ptr<NotingCall> NewPatient(const MethodInfo& method = kMethod) {
    return std::make_unique<NotingCall>(method, request_, CallOptions{.wait_for_room = true},
                                        std::chrono::hours(1));
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
  static StatusCode EndOf(NotingCall& call) { return call.AwaitEnd().code(); }
  static bool Has(NotingLink& link, const NotingCall& call) {
    return link.started.WaitFor(
        [&](const auto& all) { return std::find(all.begin(), all.end(), &call) != all.end(); });
  }

  std::shared_ptr<Runtime> runtime_ = test::QuietRuntime();
  test::EchoRequest request_;
  TurnedSource source_;
  std::shared_ptr<NotingLink> link_ = std::make_shared<NotingLink>(*io().loop);
  std::shared_ptr<NotingLink> other_ = std::make_shared<NotingLink>(*io().loop);
  std::shared_ptr<WaitingRoom> room_ =
      std::make_shared<WaitingRoom>(source_, io(), "there", MessageLimit{1000, "channel"}, 100'000);
};

TEST_F(WaitingRoomTest, SendsStraightOnWhereThereIsALink) {
  source_.links.Set({link_});
  const auto call = New();
  room_->Send(*call);
  EXPECT_THAT(link_->started.Get(), ElementsAre(call.get()));
  EXPECT_TRUE(room_->empty());
}

TEST_F(WaitingRoomTest, KeepsCallsInTheirOrderUntilALinkComes) {
  const auto first = New(), second = New(), third = New();
  room_->Send(*first);
  room_->Send(*second);
  // Each waiting call has looked for a link on the loop, and asked for one.
  EXPECT_TRUE(source_.asked.WaitFor([](int n) { return n >= 2; }));
  EXPECT_FALSE(room_->empty());
  // A link that is there does not let the third overtake those that wait.
  InLoop([&] {
    source_.links.Set({link_});
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
  EXPECT_EQ(hasty->ends.Get().at(0).message(), "call test.Store/Put: refused (to there)");
  EXPECT_TRUE(patient->ends.Get().empty());
  source_.links.Set({link_});
  room_->OnLink();
  EXPECT_TRUE(link_->started.WaitFor([](const auto& all) { return all.size() == 1; }));
}

TEST_F(WaitingRoomTest, EndsAtOnceWhatTheSourceHasAnErrorFor) {
  source_.error.Set(absl::UnavailableError("pausing"));
  const auto call = New();
  room_->Send(*call);
  EXPECT_EQ(EndOf(*call), StatusCode::kUnavailable);
  EXPECT_TRUE(room_->empty());
  // A source that pauses is not asked to connect by a call that does not wait.
  EXPECT_EQ(source_.asked.Get(), 0);
}

TEST_F(WaitingRoomTest, KeepsWhatALinkNoLongerTakes) {
  source_.links.Set({link_});
  // The source still has the link, which takes no more calls.
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
  source_.links.Set({link_});
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
  // Closed, the room lets the waiting call be; EndAll ends it.
  EXPECT_EQ(EndOf(*after), StatusCode::kUnavailable);
  InLoop([&] { room_->EndAll(absl::UnavailableError("the channel was closed")); });
  EXPECT_EQ(EndOf(*before), StatusCode::kUnavailable);
  EXPECT_EQ(before->ends.Get().size(), 1u);
}

// ---- links without room

TEST_F(WaitingRoomTest, OneFullLinkLeavesTheOthers) {
  source_.links.Set({link_, other_});
  link_->full = true;
  const auto hasty = New(), patient = NewPatient(), ordered = NewPatient(kOrdered);
  room_->Send(*hasty);
  room_->Send(*patient);
  EXPECT_THAT(other_->started.Get(), ElementsAre(hasty.get(), patient.get()));
  // An ordered call waits for its own link, and holds up no other.
  room_->Send(*ordered);
  const auto next = NewPatient();
  room_->Send(*next);
  EXPECT_TRUE(Has(*other_, *next));
  link_->full = false;
  ASSERT_TRUE(link_->TellRoom());
  EXPECT_TRUE(Has(*link_, *ordered));
  // Only the ordered call has asked this link for room.
  EXPECT_EQ(link_->asked.Get().size(), 1u);
}

TEST_F(WaitingRoomTest, WhereAllAreFullTheFirstWithRoomTakesIt) {
  source_.links.Set({link_, other_});
  link_->full = other_->full = true;
  const auto hasty = New(), first = NewPatient(), second = NewPatient();
  room_->Send(*hasty);
  EXPECT_EQ(EndOf(*hasty), StatusCode::kResourceExhausted);
  EXPECT_TRUE(hasty->output_full);
  room_->Send(*first);
  room_->Send(*second);
  InLoop([] {});
  // Two calls wait for room, and the first of them asks for both.
  EXPECT_EQ(link_->asked.Get().size(), 1u);
  EXPECT_EQ(other_->asked.Get().size(), 1u);
  other_->full = false;
  ASSERT_TRUE(other_->TellRoom());
  EXPECT_TRUE(Has(*other_, *second));
  EXPECT_THAT(other_->started.Get(), ElementsAre(first.get(), second.get()));
}

TEST_F(WaitingRoomTest, ALinkThatComesTakesThoseThatWaitForRoom) {
  source_.links.Set({link_});
  link_->full = true;
  const auto call = NewPatient();
  room_->Send(*call);
  InLoop([] {});
  // The full link has no room yet; the new one takes the call.
  source_.links.Set({link_, other_});
  room_->OnLink();
  EXPECT_TRUE(Has(*other_, *call));
}

}  // namespace
}  // namespace weft::internal
