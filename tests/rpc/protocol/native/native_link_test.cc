// Starts of calls on a link without a session, on a scripted transport. The link's state decides if
// they are taken; the test is on another thread than the loop.
#include "weft/rpc/protocol/native/native_link.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "tests/support/drawn_states.h"
#include "tests/support/loop_thread.h"
#include "tests/support/scripted_transport.h"
#include "tests/support/watched.h"
#include "weft/core/output_budget.h"
#include "weft/rpc/protocol/native/hello.pb.h"

namespace weft::internal::native {
namespace {

using ::testing::HasSubstr;
using StartResult = CallLink::StartResult;

constexpr MethodInfo kMethod{"a.Service", "Say", "a.Service/Say"};

TEST(NativeLinkStates, GoAsTheirHeaderDrawsThem) {
  const std::vector<std::string> names{"kOpening", "kUp", "kGoingAway", "kClosed"};
  EXPECT_EQ(test::Allowed(names, &NativeLink::MayGo),
            test::DrawnIn("rpc/protocol/native/native_link.h", names));
}

class TestCall final : public OutboundCall {
 public:
  TestCall() : OutboundCall(kMethod, Hello::default_instance(), CallOptions()) {}

 private:
  void Complete(const CallEnd&) override {}
};

// A link without a session: calls of this side, started on its loop.
class NativeLinkTest : public testing::Test {
 protected:
  NativeLinkTest() {
    loop_.Run([this] {
      loop_.loop().AssertInLoop();
      wheel_ = std::make_unique<DeadlineWheel>(loop_.loop());
      link_ = NativeLink::Make(
          std::make_shared<FrameOutput>(
              loop_.shared_loop(), std::make_unique<ScriptedTransport>(record_), "the peer",
              std::make_shared<const SessionLimits>(), InputBudgets(), ConnectionEnd::kDialled),
          *wheel_, nullptr, std::make_shared<InflateGate>(SessionLimits().inflate, "channel"));
    });
  }
  ~NativeLinkTest() override {
    loop_.Run([this] {
      loop_.loop().AssertInLoop();
      link_.reset();
      wheel_.reset();
    });
  }
  void OnLoop(const std::function<void()>& what) { loop_.Run(what); }
  void Open(size_t max_calls = 2, size_t max_message = 1'000) {
    OnLoop([&] {
      loop_.loop().AssertInLoop();
      PeerSettings settings;
      // The agreement with a peer as its Hello would make it.
      settings.max_frame = kMinFrame;
      settings.max_message = max_message;
      settings.max_calls = max_calls;
      settings.max_methods = 8;
      link_->SetPeer(settings);
      link_->Open({});
    });
  }
  StartResult Start(TestCall& call) { return link_->TryStart(call, &why_); }

  static EventLoopOptions WithBudget(std::shared_ptr<OutputBudget> budget) {
    EventLoopOptions options = LoopThread::Options();
    options.output_budget = std::move(budget);
    return options;
  }

  const std::shared_ptr<OutputBudget> budget_ =
      std::make_shared<OutputBudget>(8 * OutputBudget::kStep);
  LoopThread loop_{WithBudget(budget_)};
  const std::shared_ptr<WriteRecord> record_ = std::make_shared<WriteRecord>();
  std::unique_ptr<DeadlineWheel> wheel_;
  std::shared_ptr<NativeLink> link_;
  absl::Status why_;
  TestCall a_, b_, c_;
};

TEST_F(NativeLinkTest, StartsCallsFromItsOpeningUntilItIsToStop) {
  // Before the handshake is done nothing may be sent.
  EXPECT_EQ(Start(a_), StartResult::kGone);
  Open();
  EXPECT_EQ(Start(a_), StartResult::kStarted);
  OnLoop([this] {
    loop_.loop().AssertInLoop();
    link_->StopStarting();
    link_->StopStarting();  // again, which is nothing
  });
  EXPECT_EQ(Start(b_), StartResult::kGone);
  OnLoop([this] {
    loop_.loop().AssertInLoop();
    EXPECT_EQ(link_->Volume().calls, 1u);
    uint64_t written = 0;
    EXPECT_EQ(link_->Close(&written), &a_);
    // More was written than lies before the call's request, so the request may have reached the
    // peer.
    EXPECT_GT(written, a_.wire().position);
    EXPECT_EQ(link_->Volume().calls, 0u);
  });
  EXPECT_EQ(Start(b_), StartResult::kGone);
}

TEST_F(NativeLinkTest, StopsBeforeItHasOpenedWhereItIsToldSo) {
  OnLoop([this] {
    loop_.loop().AssertInLoop();
    link_->StopStarting();
  });
  // Opened late, a link that was to stop stays stopped.
  Open();
  EXPECT_EQ(Start(a_), StartResult::kGone);
}

TEST_F(NativeLinkTest, RefusesMoreCallsThanThePeerTakes) {
  Open(/*max_calls=*/2);
  EXPECT_EQ(Start(a_), StartResult::kStarted);
  EXPECT_EQ(Start(b_), StartResult::kStarted);
  EXPECT_EQ(Start(c_), StartResult::kRefused);
  EXPECT_THAT(std::string(why_.message()),
              HasSubstr("2 calls are under way on the connection, the limit is 2"));
  OnLoop([this] {
    loop_.loop().AssertInLoop();
    EXPECT_EQ(link_->Take(1), &a_);
    // A second reply to the same call finds nobody.
    EXPECT_EQ(link_->Take(1), nullptr);
  });
  EXPECT_EQ(Start(c_), StartResult::kStarted);
}

TEST_F(NativeLinkTest, GivesBackTheCallsThatAGoingPeerHasNotTaken) {
  Open(/*max_calls=*/3);
  EXPECT_EQ(Start(a_), StartResult::kStarted);
  EXPECT_EQ(Start(b_), StartResult::kStarted);
  OnLoop([this] {
    loop_.loop().AssertInLoop();
    // The peer has taken call 1 and no more: call 2 may go elsewhere.
    EXPECT_EQ(link_->GoAway(1), &b_);
    EXPECT_EQ(b_.wire().next, nullptr);
    EXPECT_EQ(link_->Find(1), &a_);
    // Number 2 was used, though the call is no longer here: a reply to it is late, not wrong.
    EXPECT_TRUE(link_->EverStarted(2));
    EXPECT_FALSE(link_->EverStarted(3));
  });
  EXPECT_EQ(Start(c_), StartResult::kGone);
}

// Where all connections together have no room, a call may wait as for room on this one.
TEST_F(NativeLinkTest, IsFullWhereAllTogetherAreAndTellsWhenTheyAreNot) {
  class Observer final : public RoomObserver {
   public:
    void OnRoom() override {
      told.Update([](int& n) { ++n; });
    }
    Watched<int> told{0};
  };
  // The peer takes the message; only the room for output is to be missing.
  Open(2, 1'000'000);
  const std::string bytes(100'000, 'x');
  a_.request.ReferTo(bytes);
  budget_->Change(0, budget_->limit());  // by others
  EXPECT_EQ(Start(a_), StartResult::kFull);
  EXPECT_THAT(std::string(why_.message()), HasSubstr("max_output_bytes of the runtime"));
  const auto observer = std::make_shared<Observer>();
  link_->AwaitRoom(bytes.size(), observer);
  loop_.Settle();
  EXPECT_EQ(observer->told.Get(), 0);
  budget_->Change(budget_->limit(), 0);
  EXPECT_TRUE(observer->told.WaitForValue(1));
  EXPECT_EQ(Start(a_), StartResult::kStarted);
}

}  // namespace
}  // namespace weft::internal::native
