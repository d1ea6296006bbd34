// Tables that stay as they are where there is no memory, by an allocator that runs out.
#include "weft/core/table_room.h"

#include <memory>
#include <new>
#include <string>
#include <unordered_map>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::internal {
namespace {

// Has memory while `left` lasts.
template <typename T>
struct Scarce {
  using value_type = T;
  explicit Scarce(int* l) : left(l) {}
  template <typename U>
  Scarce(const Scarce<U>& o) : left(o.left) {}
  T* allocate(size_t n) {
    if (--*left < 0) throw std::bad_alloc();
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* p, size_t n) { std::allocator<T>().deallocate(p, n); }
  bool operator==(const Scarce& o) const { return left == o.left; }
  int* left;
};

TEST(TableRoom, IsThereForAllThatWasAskedFor) {
  std::unordered_map<int, int> table;
  ASSERT_TRUE(TryMakeRoom(table, 100));
  const size_t buckets = table.bucket_count();
  EXPECT_GE(buckets, 100u);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(TryMakeRoom(table, table.size() + 1));
    table[i] = i;
  }
  // None of the calls had to make the table anew.
  EXPECT_EQ(table.bucket_count(), buckets);
}

TEST(TableRoom, ThatCannotBeHadLeavesTheTableAsItWas) {
  int left = 10;
  std::unordered_map<int, int, std::hash<int>, std::equal_to<int>,
                     Scarce<std::pair<const int, int>>>
      table{Scarce<std::pair<const int, int>>(&left)};
  ASSERT_TRUE(TryMakeRoom(table, 2));
  table[1] = 11;
  left = 0;
  EXPECT_FALSE(TryMakeRoom(table, 10'000));
  EXPECT_EQ(table.size(), 1u);
  EXPECT_EQ(table.at(1), 11);
  EXPECT_TRUE(TryMakeRoom(table, table.bucket_count())) << "needs nothing";
}

TEST(TakeEach, HandsOutEveryEntryAlsoThoseThatComeMeanwhile) {
  std::unordered_map<int, std::unique_ptr<std::string>> table;
  table[1] = std::make_unique<std::string>("one");
  table[2] = std::make_unique<std::string>("two");
  std::vector<int> taken;
  TakeEach(table, [&](auto entry) {
    EXPECT_FALSE(table.contains(entry.key()));
    taken.push_back(entry.key());
    if (taken.size() == 1) table[3] = std::make_unique<std::string>("three");
  });
  EXPECT_TRUE(table.empty());
  EXPECT_THAT(taken, testing::UnorderedElementsAre(1, 2, 3));
}

}  // namespace
}  // namespace weft::internal
