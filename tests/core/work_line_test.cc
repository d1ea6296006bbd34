// The line of one share's items: its order, holes in its middle, and a table that grows and is
// given back.
#include "weft/core/work_line.h"

#include <memory>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::internal {
namespace {

using ::testing::ElementsAreArray;

class Item final : public WorkItem {
 public:
  void Run(int) override {}
  void Cancel() override {}
};

class WorkLineTest : public testing::Test {
 protected:
  std::vector<WorkItem*> New(size_t count) {
    std::vector<WorkItem*> items;
    for (size_t i = 0; i < count; ++i) {
      items.push_back(all_.emplace_back(std::make_unique<Item>()).get());
    }
    return items;
  }
  std::vector<WorkItem*> Append(size_t count) {
    std::vector<WorkItem*> items = New(count);
    EXPECT_TRUE(line_.TryAppend(items.data(), items.size()));
    return items;
  }
  std::vector<WorkItem*> Take(size_t most) {
    std::vector<WorkItem*> items(most);
    items.resize(line_.TakeFirst(items.data(), most));
    return items;
  }

  WorkLine line_;
  std::vector<std::unique_ptr<Item>> all_;
};

TEST_F(WorkLineTest, IsFirstInFirstOutAsItGrowsAndGoesRound) {
  std::vector<WorkItem*> expected, taken;
  for (int round = 0; round < 50; ++round) {
    // 37 does not divide the size of the table, so the line begins and ends at every place of it.
    for (WorkItem* item : Append(37)) expected.push_back(item);
    for (WorkItem* item : Take(round % 3 == 0 ? 10 : 40)) taken.push_back(item);
  }
  for (WorkItem* item : Take(expected.size())) taken.push_back(item);
  EXPECT_THAT(taken, ElementsAreArray(expected));
  EXPECT_EQ(line_.size(), 0u);
  EXPECT_TRUE(Take(1).empty());
}

TEST_F(WorkLineTest, LetsOneOutOfTheMiddle) {
  std::vector<WorkItem*> items = Append(5);
  EXPECT_TRUE(line_.Remove(*items[2]));
  EXPECT_FALSE(line_.Remove(*items[2])) << "once";
  EXPECT_TRUE(line_.Remove(*items[0]));
  EXPECT_EQ(line_.size(), 3u);
  // Holes do not count, also when the table grows while it has some.
  std::vector<WorkItem*> more = Append(100);
  std::vector<WorkItem*> expected = {items[1], items[3], items[4]};
  expected.insert(expected.end(), more.begin(), more.end());
  EXPECT_THAT(Take(200), ElementsAreArray(expected));
}

TEST_F(WorkLineTest, KnowsOnlyThoseThatStandInIt) {
  std::vector<WorkItem*> gone = Append(3);
  EXPECT_EQ(Take(3).size(), 3u);
  std::vector<WorkItem*> others = Append(3);
  // The places of these items may belong to others by now.
  for (WorkItem* item : gone) EXPECT_FALSE(line_.Remove(*item));
  for (WorkItem* item : New(2)) EXPECT_FALSE(line_.Remove(*item)) << "was never here";
  EXPECT_THAT(Take(5), ElementsAreArray(others));
}

TEST_F(WorkLineTest, TakesThoseBackThatItHasJustGiven) {
  std::vector<WorkItem*> items = Append(64);
  std::vector<WorkItem*> first = Take(64);
  // The ring had room for ten of them only.
  line_.PutBack(first.data() + 10, 54);
  EXPECT_EQ(line_.size(), 54u);
  EXPECT_TRUE(line_.Remove(*items[20])) << "by its new place";
  EXPECT_EQ(Take(1).front(), items[10]);
  EXPECT_EQ(Take(100).size(), 52u);
}

TEST_F(WorkLineTest, AnEmptyOneGivesALargeTableBack) {
  Append(5'000);
  line_.Trim();
  EXPECT_EQ(Take(10'000).size(), 5'000u) << "not while they stand in it";
  line_.Trim();
  std::vector<WorkItem*> items = Append(3);
  EXPECT_THAT(Take(5), ElementsAreArray(items));
}

}  // namespace
}  // namespace weft::internal
