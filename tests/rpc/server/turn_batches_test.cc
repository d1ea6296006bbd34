// Calls of one turn of a loop, handed to their pool when the turn ends. The pool has one worker.
#include "weft/rpc/server/turn_batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/rpc/server/served_calls.h"
#include "weft/core/block.h"

namespace weft::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TurnBatchesTest : public ServedCalls {
 protected:
  void Begin(size_t queue = 100) {
    Serve(queue);
    shares_ = std::make_unique<CallerShares>(dispatcher_);
    batches_ = std::make_unique<TurnBatches>(loop_.loop(), dispatcher_, *shares_);
  }

  std::unique_ptr<CallerShares> shares_;
  std::unique_ptr<TurnBatches> batches_;
};

TEST_F(TurnBatchesTest, HandsOverWhenTheTurnEndsInTheOrderInWhichCallsCame) {
  Begin();
  Notification go_on;
  handler_ = [&](InboundCall& call) {
    EXPECT_TRUE(go_on.Wait());
    call.Answer(absl::OkStatus(), nullptr);
  };
  OnLoop([&] {
    const auto origin = Connect();
    // The turn is not over yet, so the pool has none of them.
    for (int i = 0; i < 5; ++i) batches_->Add(Come(kSay, origin));
    EXPECT_EQ(dispatcher_.pool().queued(), 0u);
  });
  go_on.Notify();
  EXPECT_THAT(IdsOf(Wait(5)), ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(TurnBatchesTest, RefusesWhatTheQueueHasNoRoomFor) {
  Begin(/*queue=*/4);
  Notification entered, go_on;
  handler_ = [&](InboundCall& call) {
    entered.Notify();
    EXPECT_TRUE(go_on.Wait());
    call.Answer(absl::OkStatus(), nullptr);
  };
  const auto origin = Connect();
  OnLoop([&] { batches_->Add(Come(kSay, origin)); });
  ASSERT_TRUE(entered.Wait());
  OnLoop([&] {
    // The worker is inside the first call. Four calls fill the queue, and the last two are refused.
    for (int i = 0; i < 6; ++i) batches_->Add(Come(kSay, origin));
  });
  const Answers refused = Wait(2);
  EXPECT_THAT(IdsOf(refused), ElementsAre(6, 7));
  EXPECT_TRUE(absl::IsResourceExhausted(refused[0].second)) << refused[0].second;
  EXPECT_THAT(std::string(refused[0].second.message()),
              HasSubstr("the server's queue is full: 4 calls wait for 1 workers, the limit is 4 "
                        "(worker_queue)"));
  go_on.Notify();
  EXPECT_THAT(IdsOf(Wait(7)), ElementsAre(6, 7, 1, 2, 3, 4, 5));
}

TEST_F(TurnBatchesTest, CopiesRequestsThatAreASmallPartOfWhatWasRead) {
  Begin();
  // One byte more than a request that is copied at once, whatever came with it.
  const size_t size = InboundRequest::kSmall + 1;
  OnLoop([&] {
    const auto origin = Connect();
    // True: the call that came with `read` bytes refers to their block when they have been seen.
    const auto keeps = [&](size_t read) {
      const BlockRef block = BlockRef::New(size);
      InboundCall& call = Come(kSay, origin);
      call.SetRequest(block, block->data(), size);
      batches_->Add(call);
      // Until the end of the block is seen, the call refers to it in either case.
      EXPECT_FALSE(block->Sole());
      batches_->OnLookedThrough(read);
      return !block->Sole();
    };
    EXPECT_TRUE(keeps(size));
    EXPECT_FALSE(keeps(100 * size));
  });
  Wait(2);
}

}  // namespace
}  // namespace weft::internal
