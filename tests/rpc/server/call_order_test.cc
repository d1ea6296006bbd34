// Calls of ordered methods on one loop and one worker. Ids count from 1 in the order in which a
// test makes its calls.
#include "weft/rpc/server/call_order.h"

#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/rpc/server/served_calls.h"
#include "weft/rpc/call/calling_node.h"

namespace weft::internal {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Handlers take the call and answer when the test says so.
class CallOrderTest : public ServedCalls, public AnswerListener {
 protected:
  void Begin(size_t queue = 100) {
    handler_ = [&](InboundCall& call) {
      running_.Update([&](std::vector<InboundCall*>& all) { all.push_back(&call); });
    };
    Serve(queue);
    shares_ = std::make_unique<CallerShares>(dispatcher_);
    order_ = std::make_unique<CallOrder>(loop_.loop(), dispatcher_, *shares_, cache_);
  }
  InboundCall& Ordered(std::string_view method, const std::shared_ptr<Origin>& origin) {
    InboundCall& call = Come(method, origin);
    call.serving.listener = this;
    return call;
  }
  void OnAnswered(InboundCall& call) override {
    if (call.serving.queue != nullptr) order_->OnAnswered(call);
  }
  // Waits until so many calls have come to their handler, ever, and says which.
  std::vector<uint64_t> Ran(size_t count) {
    std::vector<uint64_t> ids;
    EXPECT_TRUE(running_.WaitFor([&](const auto& all) { return all.size() >= count; }));
    for (const InboundCall* call : running_.Get()) ids.push_back(call->id);
    return ids;
  }
  void Answer(uint64_t id) { calls_[id - 1]->Answer(absl::OkStatus(), nullptr); }

  MessageCache cache_;
  Watched<std::vector<InboundCall*>> running_;
  std::unique_ptr<CallerShares> shares_;
  std::unique_ptr<CallOrder> order_;
};

TEST_F(CallOrderTest, RunsACallWhenTheOneBeforeHasBeenAnswered) {
  ASSERT_TRUE(dispatcher_.Configure(kSay, {.ordered = true}).ok());
  Begin();
  const auto one = Connect(), other = Connect();
  OnLoop([&] {
    order_->Add(Ordered(kSay, one));
    order_->Add(Ordered(kSay, one));
    order_->Add(Ordered(kSay, other));
  });
  // There is one worker: a call that had not to wait would have run before the other connection's.
  EXPECT_THAT(Ran(2), ElementsAre(1, 3));
  Answer(1);
  EXPECT_THAT(Ran(3), ElementsAre(1, 3, 2));
  Answer(2);
  Answer(3);
  Wait(3);
}

TEST_F(CallOrderTest, RunsCallsOfDifferentKeysBesideEachOther) {
  ASSERT_TRUE(dispatcher_
                  .Configure(kKeyed, {.key =
                                          [](const ServerContext& call) {
                                            return std::string(
                                                call.metadata().Get("row").value_or(""));
                                          }})
                  .ok());
  Begin();
  const auto origin = Connect();
  OnLoop([&] {
    for (const char* row : {"a", "a", "b"}) {
      InboundCall& call = Ordered(kKeyed, origin);
      ASSERT_TRUE(call.ParseMetadata().ok());
      EXPECT_TRUE(call.metadata().Add("row", row).ok());
      order_->Add(call);
    }
  });
  EXPECT_THAT(Ran(2), ElementsAre(1, 3));
  Answer(3);
  Answer(1);
  EXPECT_THAT(Ran(3), ElementsAre(1, 3, 2));
  Answer(2);
  Wait(3);
}

TEST_F(CallOrderTest, KeepsThePlaceOfARequestThatIsNotWholeYet) {
  ASSERT_TRUE(dispatcher_.Configure(kSay, {.ordered = true}).ok());
  Begin();
  const auto one = Connect(), other = Connect();
  InboundCall* large = nullptr;
  OnLoop([&] {
    large = &Ordered(kSay, one);
    order_->Begin(*large);
    order_->Add(Ordered(kSay, one));
    order_->Add(Ordered(kSay, other));
  });
  // The other connection's call has run on the one worker, so the call behind the large request
  // waits for its turn, not for the worker.
  EXPECT_THAT(Ran(1), ElementsAre(3));
  OnLoop([&] { order_->Add(*large); });
  EXPECT_THAT(Ran(2), ElementsAre(3, 1));
  Answer(1);
  EXPECT_THAT(Ran(3), ElementsAre(3, 1, 2));
  Answer(2);
  Answer(3);
  Wait(3);
}

TEST_F(CallOrderTest, RunsInlineMethodsOnTheLoop) {
  ASSERT_TRUE(dispatcher_.Configure(kInline, {.ordered = true}).ok());
  Begin();
  const auto origin = Connect();
  OnLoop([&] {
    order_->Add(Ordered(kInline, origin));
    order_->Add(Ordered(kInline, origin));
    EXPECT_THAT(Ran(1), ElementsAre(1));
  });
  Answer(1);  // elsewhere: the next one is brought back to the loop, where it may touch cache_
  EXPECT_THAT(Ran(2), ElementsAre(1, 2));
  Answer(2);
  Wait(2);
}

TEST_F(CallOrderTest, RefusesWhatWaitsOfAConnection) {
  ASSERT_TRUE(dispatcher_.Configure(kSay, {.ordered = true}).ok());
  Begin();
  const auto one = Connect(), other = Connect();
  OnLoop([&] {
    for (int i = 0; i < 3; ++i) order_->Add(Ordered(kSay, one));
    for (int i = 0; i < 2; ++i) order_->Add(Ordered(kSay, other));
  });
  EXPECT_THAT(Ran(2), ElementsAre(1, 4));
  // Place 0 is the default pool's share. The running call is none that waits, and stays.
  OnLoop([&] { order_->RefuseAll(*one, /*place=*/0); });
  const Answers refused = Wait(2);
  EXPECT_THAT(IdsOf(refused), ElementsAre(2, 3));
  EXPECT_TRUE(absl::IsUnavailable(refused[0].second)) << refused[0].second;
  Answer(1);
  Answer(4);
  EXPECT_THAT(Ran(3), ElementsAre(1, 4, 5));
  Answer(5);
  Wait(5);
}

TEST_F(CallOrderTest, Case05CallsOfANodeHaveOneOrderOverItsConnections) {
  for (const std::string_view method : {kSay, kInline}) {
    ASSERT_TRUE(dispatcher_.Configure(method, {.ordered = true}).ok());
  }
  Begin();
  for (const std::string_view method : {kSay, kInline}) {
    const uint64_t before = calls_.size();
    const auto node = std::make_shared<CallingNode>();
    const auto one = Connect(), other = Connect();
    // Both connections reach the node's one line; the later one has the higher number.
    one->way = std::make_shared<const CallingWay>(CallingWay{node, 0, 2});
    other->way = std::make_shared<const CallingWay>(CallingWay{node, 0, 4});
    OnLoop([&] { order_->Add(Ordered(method, one)); });
    EXPECT_EQ(Ran(before == 0 ? 1 : 3).back(), before + 1);
    OnLoop([&] {
      order_->Add(Ordered(method, one));
      order_->Add(Ordered(method, other));
      // The end of a connection takes its own calls out, and no others.
      order_->RefuseAllOfNode(*one);
    });
    EXPECT_THAT(IdsOf(Wait(before + 1)), Contains(before + 2));
    // An empty turn of the loop: an inline call that had wrongly been let go would have run before
    // it.
    OnLoop([] {});
    EXPECT_EQ(running_.Get().size(), before == 0 ? 1u : 3u) << "the other waits for it";
    Answer(before + 1);
    EXPECT_EQ(Ran(before == 0 ? 2 : 4).back(), before + 3);
    Answer(before + 3);
    Wait(before + 3);
  }
}

TEST_F(CallOrderTest, RefusesWhatTheQueueHasNoRoomFor) {
  ASSERT_TRUE(dispatcher_.Configure(kSay, {.ordered = true}).ok());
  Begin(/*queue=*/2);
  const auto origin = Connect();
  OnLoop([&] { order_->Add(Ordered(kSay, origin)); });
  EXPECT_THAT(Ran(1), ElementsAre(1));
  OnLoop([&] {
    // The first call runs and counts no more; two wait, and the fourth finds no place.
    for (int i = 0; i < 3; ++i) order_->Add(Ordered(kSay, origin));
  });
  const Answers refused = Wait(1);
  EXPECT_THAT(IdsOf(refused), ElementsAre(4));
  EXPECT_THAT(std::string(refused[0].second.message()),
              HasSubstr("2 calls wait for their turn, the limit is 2 (worker_queue)"));
  // The refusal leaves the line as it was.
  for (uint64_t id : {1, 2, 3}) {
    Ran(id);
    Answer(id);
  }
  Wait(4);
}

TEST_F(CallOrderTest, AnswersWhatTheKeysFunctionThrows) {
  ASSERT_TRUE(dispatcher_
                  .Configure(kKeyed, {.key = [](const ServerContext&) -> std::string {
                               throw std::runtime_error("no row");
                             }})
                  .ok());
  Begin();
  OnLoop([&] { order_->Add(Ordered(kKeyed, Connect())); });
  const Answers answers = Wait(1);
  EXPECT_THAT(std::string(answers[0].second.message()), HasSubstr("the method's key"));
  EXPECT_THAT(std::string(answers[0].second.message()), HasSubstr("no row"));
}

}  // namespace
}  // namespace weft::internal
