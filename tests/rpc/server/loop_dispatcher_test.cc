// The dispatcher of one loop: admission, order and batches behind one sink, with a pool of one
// worker. Ids count from 1 in the order in which a test makes its calls.
#include "weft/rpc/server/loop_dispatcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/rpc/server/served_calls.h"

namespace weft::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LoopDispatcherTest : public ServedCalls {
 protected:
  void Begin(size_t queue = 1000) {
    Serve(queue);
    sink_ = std::make_unique<LoopDispatcher>(loop_.loop(), dispatcher_);
  }
  // The one worker is inside the first call until it is told to go on.
  void BlockTheWorker() {
    handler_ = [&](InboundCall& call) {
      entered_.Notify();
      EXPECT_TRUE(go_on_.Wait());
      call.Answer(absl::OkStatus(), nullptr);
    };
    OnLoop([&] { sink_->OnCall(Come(kSay, Connect())); });
    ASSERT_TRUE(entered_.Wait());
  }

  Notification entered_, go_on_;
  std::unique_ptr<LoopDispatcher> sink_;
};

TEST_F(LoopDispatcherTest, RunsInlineMethodsHereAndOthersOnTheirPool) {
  Begin();
  std::atomic<bool> on_loop{false}, in_pool{false};
  handler_ = [&](InboundCall& call) {
    if (call.id == 1) on_loop = loop_.loop().InLoop();
    if (call.id == 2) in_pool = dispatcher_.InPool();
    call.Answer(absl::OkStatus(), nullptr);
  };
  OnLoop([&] {
    const auto origin = Connect();
    sink_->OnCall(Come(kInline, origin));
    // The inline call has run inside OnCall.
    EXPECT_EQ(answers_.Get().size(), 1u);
    sink_->OnCall(Come(kSay, origin));
    // The pool's call is handed over when this turn ends.
    EXPECT_EQ(answers_.Get().size(), 1u);
  });
  Wait(2);
  EXPECT_TRUE(on_loop);
  EXPECT_TRUE(in_pool);
}

TEST_F(LoopDispatcherTest, LetsACallInWhenOneThatWasCountedHasBeenAnswered) {
  ASSERT_TRUE(dispatcher_.Configure(kInline, {.max_calls = 1}).ok());
  Begin();
  handler_ = [](InboundCall&) {};  // answered by the test
  OnLoop([&] {
    const auto origin = Connect();
    sink_->OnCall(Come(kInline, origin));
    sink_->OnCall(Come(kInline, origin));
    EXPECT_THAT(IdsOf(answers_.Get()), ElementsAre(2));
    EXPECT_TRUE(absl::IsResourceExhausted(answers_.Get()[0].second));
    calls_[0]->Answer(absl::OkStatus(), nullptr);
    sink_->OnCall(Come(kInline, origin));
    EXPECT_THAT(IdsOf(answers_.Get()), ElementsAre(2, 1));
    calls_[2]->Answer(absl::OkStatus(), nullptr);
  });
  EXPECT_THAT(IdsOf(Wait(3)), ElementsAre(2, 1, 3));
}

TEST_F(LoopDispatcherTest, CountsACallThatHasAnOrderUntilItIsAnswered) {
  ASSERT_TRUE(dispatcher_.Configure(kInline, {.ordered = true, .max_calls = 2}).ok());
  Begin();
  std::vector<uint64_t> ran;
  handler_ = [&](InboundCall& call) { ran.push_back(call.id); };
  OnLoop([&] {
    const auto origin = Connect();
    for (int i = 0; i < 3; ++i) sink_->OnCall(Come(kInline, origin));
    EXPECT_THAT(IdsOf(answers_.Get()), ElementsAre(3));
    EXPECT_THAT(ran, ElementsAre(1));
    calls_[0]->Answer(absl::OkStatus(), nullptr);
  });
  // The next ordered call comes by a task of the loop.
  loop_.Settle();
  OnLoop([&] {
    EXPECT_THAT(ran, ElementsAre(1, 2));
    // A call of another connection has an order of its own.
    sink_->OnCall(Come(kInline, Connect()));
    EXPECT_THAT(ran, ElementsAre(1, 2, 4));
    calls_[1]->Answer(absl::OkStatus(), nullptr);
    calls_[3]->Answer(absl::OkStatus(), nullptr);
  });
  Wait(4);
}

// Those in the pool's ring are a worker's already; what stands in the connection's own line is not.
TEST_F(LoopDispatcherTest, TakesBackACancelledCallThatNoWorkerHas) {
  Begin();
  BlockTheWorker();
  const auto origin = Connect();
  constexpr size_t kCalls = 200;
  OnLoop([&] {
    for (size_t i = 0; i < kCalls; ++i) sink_->OnCall(Come(kSay, origin));
  });
  OnLoop([&] {
    InboundCall& last = *calls_.back();
    last.MarkCancelled();
    sink_->OnCancelled(last);
  });
  const Answers answers = Wait(1);
  EXPECT_THAT(IdsOf(answers), ElementsAre(kCalls + 1));
  EXPECT_TRUE(absl::IsCancelled(answers[0].second)) << answers[0].second;
  go_on_.Notify();
  Wait(kCalls + 1);
}

TEST_F(LoopDispatcherTest, RefusesWhatStillWaitsOfAConnectionThatHasEnded) {
  ASSERT_TRUE(dispatcher_.Configure(kKeyed, {.ordered = true}).ok());
  Begin();
  BlockTheWorker();
  const auto ended = Connect(), other = Connect();
  constexpr size_t kCalls = 200;
  OnLoop([&] {
    for (size_t i = 0; i < kCalls; ++i) sink_->OnCall(Come(kSay, ended));
    for (size_t i = 0; i < 3; ++i) sink_->OnCall(Come(kKeyed, ended));
    sink_->OnCall(Come(kSay, other));
  });
  OnLoop([&] { sink_->OnAllCancelled(*ended); });
  // The last of each kind at least, and nothing of the other connection's.
  const Answers refused = answers_.Get();
  EXPECT_GE(refused.size(), kCalls / 2);
  EXPECT_THAT(IdsOf(refused), ::testing::IsSupersetOf({kCalls + 1, kCalls + 4}));
  for (const auto& [id, status] : refused) {
    EXPECT_NE(id, kCalls + 5);
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  }
  go_on_.Notify();
  Wait(kCalls + 5);
}

}  // namespace
}  // namespace weft::internal
