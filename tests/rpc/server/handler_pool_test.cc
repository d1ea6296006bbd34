// Handler pools as runners of calls: the default pool and one named "other", with one worker each.
#include "weft/rpc/server/handler_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/rpc/server/served_calls.h"

namespace weft::internal {
namespace {

using ::testing::ElementsAre;

class HandlerPoolTest : public ServedCalls {
 protected:
  void Begin() {
    ASSERT_TRUE(dispatcher_.Configure(kKeyed, {.pool = "other"}).ok());
    Serve();
  }
  HandlerPool& At(size_t i) { return *dispatcher_.handler_pools()[i]; }
  void Submit(InboundCall& call) {
    HandlerPool& handler_pool = At(call.bound->handler_pool);
    call.serving.runner = &handler_pool;
    ASSERT_TRUE(handler_pool.pool().TrySubmit(call));
  }
};

TEST_F(HandlerPoolTest, NamesTheSettingThatBoundsItsQueue) {
  Begin();
  ASSERT_EQ(dispatcher_.handler_pools().size(), 2u);
  EXPECT_EQ(At(0).name(), "");
  EXPECT_EQ(At(0).QueueSetting(), "worker_queue");
  EXPECT_EQ(At(1).name(), "other");
  EXPECT_EQ(At(1).QueueSetting(), "queue of the pool other");
}

TEST_F(HandlerPoolTest, RunsItsMethodsCallsApartFromOthers) {
  Begin();
  Notification entered, go_on;
  handler_ = [&](InboundCall& call) {
    if (call.id == 1) {
      entered.Notify();
      EXPECT_TRUE(go_on.Wait());
    }
    // Each call runs on a thread of its own pool.
    EXPECT_TRUE(At(call.bound->handler_pool).pool().InPool());
    call.Answer(absl::OkStatus(), nullptr);
  };
  const auto origin = Connect();
  OnLoop([&] { Submit(Come(kSay, origin)); });
  ASSERT_TRUE(entered.Wait());
  const auto inside = std::make_shared<Gate>(), elsewhere = std::make_shared<Gate>();
  // Only calls inside a handler enter: the second pool's worker is idle.
  At(0).EnterRunning(inside);
  EXPECT_EQ(inside->under_way(), 1u);
  At(1).EnterRunning(elsewhere);
  EXPECT_EQ(elsewhere->under_way(), 0u);
  OnLoop([&] { Submit(Come(kKeyed, origin)); });
  // The first pool's worker is still inside call 1, so only a worker of the other pool can have
  // answered.
  EXPECT_THAT(IdsOf(Wait(1)), ElementsAre(2));
  go_on.Notify();
  EXPECT_THAT(IdsOf(Wait(2)), ElementsAre(2, 1));
  Notification left;
  inside->WhenEmpty([&] { left.Notify(); });
  EXPECT_TRUE(left.Wait());
}

// Answers may wait for the end of the loop's turn only where another call follows.
TEST_F(HandlerPoolTest, SaysThatMoreAnswersComeWhileCallsWait) {
  Begin();
  Notification entered, go_on;
  Watched<std::vector<bool>> more;
  handler_ = [&](InboundCall& call) {
    if (call.id == 1) {
      entered.Notify();
      EXPECT_TRUE(go_on.Wait());
    }
    more.Update([&](std::vector<bool>& all) { all.push_back(call.serving.runner->MoreSoon()); });
    call.Answer(absl::OkStatus(), nullptr);
  };
  const auto origin = Connect();
  OnLoop([&] { Submit(Come(kSay, origin)); });
  ASSERT_TRUE(entered.Wait());
  OnLoop([&] { Submit(Come(kSay, origin)); });
  go_on.Notify();
  Wait(2);
  EXPECT_THAT(more.Get(), ElementsAre(true, false));
}

TEST_F(HandlerPoolTest, RefusesACallThatAStoppedPoolCancels) {
  Begin();
  handler_ = [](InboundCall&) { ADD_FAILURE() << "it was executed"; };
  OnLoop([&] {
    InboundCall& call = Come(kSay, Connect());
    // A pool that stops cancels the calls in its queue; here the test does so by hand.
    call.serving.runner = &At(0);
    call.Cancel();
  });
  EXPECT_TRUE(absl::IsUnavailable(Wait(1)[0].second));
}

}  // namespace
}  // namespace weft::internal
