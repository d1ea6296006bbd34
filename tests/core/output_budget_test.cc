// The limit of all output that waits: the budget alone, and with several queues that share it.
#include "weft/core/output_budget.h"

#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/scripted_transport.h"
#include "weft/core/output_queue.h"

namespace weft::internal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr size_t kStep = OutputBudget::kStep;

TEST(OutputBudget, RefusesWhatGoesBeyondWithBothNumbersAndTheSetting) {
  OutputBudget budget(1000);
  budget.Change(0, 600);
  EXPECT_EQ(budget.Check(0, 400, "client side", "the request's"), absl::OkStatus());
  const absl::Status s = budget.Check(100, 301, "client side", "the request's");
  EXPECT_EQ(s.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(s.message()),
              AllOf(HasSubstr("client side: 700 bytes wait"), HasSubstr("the request's 301"),
                    HasSubstr("limit of 1000 (max_output_bytes of the runtime)")));
  budget.Change(600, 100);
  EXPECT_EQ(budget.held(), 100u);
  EXPECT_EQ(budget.Check(100, 301, "client side", "the request's"), absl::OkStatus());
}

TEST(OutputBudget, LetsOneMessageOverTheLimitGoAlone) {
  OutputBudget budget(1000);
  EXPECT_EQ(budget.Check(0, 5000, "", ""), absl::OkStatus());
  // One byte that waits is enough to refuse: it will be written, and then there is room.
  budget.Change(0, 1);
  EXPECT_FALSE(budget.Check(0, 5000, "", "").ok());
}

TEST(OutputBudget, TellsWhenWhatIsAwaitedFitsAndHalfIsFree) {
  OutputBudget budget(1000);
  budget.Change(0, 900);
  int small = 0, large = 0;
  budget.AwaitRoom(100, [&] { ++small; });
  budget.AwaitRoom(800, [&] { ++large; });
  budget.Change(900, 501);
  EXPECT_EQ(small, 0) << "it fits, and half of the limit is not free";
  budget.Change(501, 500);
  EXPECT_EQ(small, 1);
  EXPECT_EQ(large, 0);
  budget.Change(500, 200);
  EXPECT_EQ(large, 1);
  budget.AwaitRoom(800, [&] { ++large; });
  EXPECT_EQ(large, 2) << "there is room already";
  // More than the whole limit fits only when nothing else waits.
  budget.AwaitRoom(9000, [&] { ++large; });
  budget.Change(200, 0);
  EXPECT_EQ(large, 3) << "what is larger than the limit goes alone";
  budget.Change(0, 900);
  budget.Change(900, 0);
  EXPECT_EQ(small + large, 4) << "each is told once";
}

TEST(OutputBudget, WithoutALimitRefusesNothing) {
  OutputBudget budget(0);
  budget.Change(0, size_t{1} << 40);
  EXPECT_EQ(budget.Check(0, size_t{1} << 40, "", ""), absl::OkStatus());
}

// Queues that share a budget of four steps. Their transports take all bytes at once when they are
// flushed.
class BudgetOfQueues : public ::testing::Test {
 protected:
  std::unique_ptr<OutputQueue> Queue() {
    return std::make_unique<OutputQueue>(
        std::make_unique<ScriptedTransport>(std::make_shared<WriteRecord>()), budget_);
  }
  static void Append(OutputQueue& queue, size_t size) {
    MutexLock lock(queue.mutex());
    BlockRef block = BlockRef::New(size);
    std::memset(block->data(), 'x', size);
    const char* data = block->data();
    queue.AppendBlock(std::move(block), data, size);
  }
  static absl::Status Check(OutputQueue& queue, size_t more) {
    MutexLock lock(queue.mutex());
    return queue.CheckBudget(more, "client side", "the request's");
  }

  const std::shared_ptr<OutputBudget> budget_ = std::make_shared<OutputBudget>(4 * kStep);
};

TEST_F(BudgetOfQueues, IsToldInSteps) {
  const auto queue = Queue();
  Append(*queue, kStep - 1);
  EXPECT_EQ(budget_->held(), 0u);
  Append(*queue, 1);
  EXPECT_EQ(budget_->held(), kStep);
  Append(*queue, kStep / 2);
  EXPECT_EQ(budget_->held(), kStep);
  Append(*queue, kStep / 2);
  EXPECT_EQ(budget_->held(), 2 * kStep);
}

TEST_F(BudgetOfQueues, CountsAllTogether) {
  const auto one = Queue(), two = Queue(), three = Queue();
  Append(*one, 2 * kStep);
  Append(*two, kStep + 100);
  EXPECT_EQ(budget_->held(), 3 * kStep + 100);
  // The first check reaches the limit exactly, the second is one byte more.
  EXPECT_EQ(Check(*two, kStep - 100), absl::OkStatus());
  EXPECT_EQ(Check(*two, kStep - 99).code(), absl::StatusCode::kResourceExhausted);
  // A queue with one step in all is not checked, although its bytes would pass the limit.
  EXPECT_EQ(Check(*three, kStep), absl::OkStatus());
  EXPECT_EQ(Check(*three, kStep + 1).code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(BudgetOfQueues, CountsWhatAQueueHasNotToldYet) {
  const auto one = Queue(), two = Queue();
  Append(*one, 3 * kStep);
  Append(*two, kStep - 1);
  EXPECT_EQ(budget_->held(), 3 * kStep);
  // The queue's own bytes are less than a step: the budget does not know of them, and they count
  // all the same.
  EXPECT_EQ(Check(*two, 1), absl::OkStatus());
  EXPECT_FALSE(Check(*two, 2).ok());
}

TEST_F(BudgetOfQueues, GetsBackWhatIsWrittenDroppedAndDestroyed) {
  auto written = Queue(), closed = Queue(), destroyed = Queue();
  for (OutputQueue* queue : {written.get(), closed.get(), destroyed.get()}) {
    // The byte beyond the step has to come back, too.
    Append(*queue, kStep + 1);
  }
  EXPECT_EQ(budget_->held(), 3 * (kStep + 1));
  {
    MutexLock lock(written->mutex());
    EXPECT_TRUE(written->Claim());
  }
  EXPECT_EQ(written->Flush(), OutputQueue::Flushed::kAll);
  EXPECT_EQ(budget_->held(), 2 * (kStep + 1));
  closed->Close();
  EXPECT_EQ(budget_->held(), kStep + 1);
  destroyed.reset();
  EXPECT_EQ(budget_->held(), 0u);
}

TEST(OutputQueue, WithoutABudgetRefusesNothing) {
  OutputQueue queue(std::make_unique<ScriptedTransport>(std::make_shared<WriteRecord>()));
  MutexLock lock(queue.mutex());
  EXPECT_EQ(queue.CheckBudget(size_t{1} << 40, "", ""), absl::OkStatus());
}

}  // namespace
}  // namespace weft::internal
