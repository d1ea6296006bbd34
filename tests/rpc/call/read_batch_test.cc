// The messages that a reader has taken all at once, and the credit that they cost.
#include "weft/rpc/call/read_batch.h"

#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace weft::test {

using namespace internal;

namespace {

// Of messages whose costs are 1, 2, …
void FillWith(ReadBatch* batch, size_t count) {
  std::vector<StreamItem> items(count);
  size_t cost = 0;
  for (size_t i = 0; i < count; ++i) cost += items[i].cost = i + 1;
  batch->Clear();
  batch->Fill(&items, cost, {.max_message = {7, "server"}});
  EXPECT_TRUE(items.empty());
}

TEST(ReadBatch, GivesItsMessagesInOrder) {
  ReadBatch batch;
  EXPECT_TRUE(batch.empty());
  FillWith(&batch, 2);
  EXPECT_EQ(batch.source().max_message.bytes, 7u);
  EXPECT_EQ(batch.Take().cost, 1u);
  EXPECT_FALSE(batch.empty());
  EXPECT_EQ(batch.Take().cost, 2u);
  EXPECT_TRUE(batch.empty());
  FillWith(&batch, 1);
  EXPECT_EQ(batch.Take().cost, 1u);
}

TEST(ReadBatch, CostIsGivenBackOnceByTheReaderOrByWhoDropsIt) {
  ReadBatch batch;
  FillWith(&batch, 3);
  EXPECT_TRUE(batch.TakeCost(batch.Take().cost));
  const size_t second = batch.Take().cost;
  // The stream's end gives back what was not given back yet, the second message among it.
  EXPECT_EQ(batch.DropCost(), 5u);
  EXPECT_FALSE(batch.TakeCost(second));
  EXPECT_FALSE(batch.TakeCost(batch.Take().cost));
  EXPECT_EQ(batch.DropCost(), 0u);
}

}  // namespace
}  // namespace weft::test
