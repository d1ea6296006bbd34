// The line of items that go on.
#include "weft/core/resumed_items.h"

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

class Item final : public WorkItem {
 public:
  void Run(int) override {}
  void Cancel() override {}
};

TEST(ResumedItems, AreTakenInTheOrderInWhichTheyCame) {
  ResumedItems items;
  EXPECT_EQ(items.TryTake(), nullptr);
  Item a, b, c;
  items.Push(a);
  items.Push(b);
  EXPECT_EQ(items.size(), 2u);
  EXPECT_EQ(items.TryTake(), &a);
  items.Push(c);
  EXPECT_EQ(items.TryTake(), &b);
  EXPECT_EQ(items.TryTake(), &c);
  EXPECT_EQ(items.TryTake(), nullptr);
  EXPECT_EQ(items.size(), 0u);
  items.Push(a);  // once more, after it has left the line
  EXPECT_EQ(items.TryTake(), &a);
}

}  // namespace
}  // namespace weft::internal
