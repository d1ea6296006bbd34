// A table of calls by number, compared with a map, for numbers that rise and for those that a peer
// may choose.
#include "weft/rpc/call/id_table.h"

#include <malloc.h>

#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/no_large_memory.h"

namespace weft::internal {
namespace {

struct Thing {
  uint64_t id = 0;
};

TEST(IdTable, IsEmptyAtFirst) {
  IdTable<Thing> table;
  EXPECT_TRUE(table.empty());
  EXPECT_EQ(table.Find(0), nullptr);
  EXPECT_EQ(table.Take(1), nullptr);
  table.ForEach([](uint64_t, Thing*) { ADD_FAILURE(); });
  table.Clear();
}

TEST(IdTable, ChecksTheWholeNumberNotOnlyItsSlot) {
  IdTable<Thing> table;
  Thing thing;
  ASSERT_TRUE(table.Insert(5, &thing));
  for (int bit = 4; bit < 64; ++bit) {
    // The low bits, and so the slot, are those of 5.
    EXPECT_EQ(table.Find(5 | uint64_t{1} << bit), nullptr) << bit;
    EXPECT_EQ(table.Take(5 | uint64_t{1} << bit), nullptr) << bit;
  }
  EXPECT_EQ(table.Find(5), &thing);
  EXPECT_EQ(table.Take(5), &thing);
  EXPECT_EQ(table.Take(5), nullptr);
  EXPECT_TRUE(table.empty());
}

TEST(IdTable, KeepsAnOldOneBesideItsRivals) {
  IdTable<Thing> table;
  Thing old, rival, other;
  ASSERT_TRUE(table.Insert(1, &old));
  // 1, 17, 33 and 49 have the same slot, so all but the first go to the overflow.
  ASSERT_TRUE(table.Insert(1 + 16, &rival));
  ASSERT_TRUE(table.Insert(1 + 32, &other));
  EXPECT_EQ(table.Find(1), &old);
  EXPECT_EQ(table.Find(17), &rival);
  EXPECT_EQ(table.Find(33), &other);
  EXPECT_EQ(table.Take(1), &old);
  EXPECT_EQ(table.Find(17), &rival);  // still found when the slot is free again
  Thing another;
  ASSERT_TRUE(table.Insert(1 + 48, &another));
  EXPECT_EQ(table.Take(17), &rival);
  EXPECT_EQ(table.Take(33), &other);
  EXPECT_EQ(table.Take(49), &another);
  EXPECT_TRUE(table.empty());
}

// Against a map, with numbers as `next` makes them.
template <typename Next>
void CompareWithMap(Next&& next, int steps, size_t most) {
  // Fixed seeds: a failure comes again.
  std::mt19937_64 random(3);
  IdTable<Thing> table;
  std::map<uint64_t, std::unique_ptr<Thing>> model;
  for (int i = 0; i < steps; ++i) {
    const bool insert = model.empty() || (model.size() < most && random() % 2 == 0);
    if (insert) {
      const uint64_t id = next();
      if (model.count(id) != 0) continue;
      auto thing = std::make_unique<Thing>(Thing{id});
      ASSERT_TRUE(table.Insert(id, thing.get()));
      model.emplace(id, std::move(thing));
    } else {
      // Now and then the oldest, mostly any.
      auto it = random() % 4 == 0 ? model.begin() : model.lower_bound(random() % (1 << 20));
      if (it == model.end()) it = model.begin();
      ASSERT_EQ(table.Find(it->first), it->second.get());
      ASSERT_EQ(table.Take(it->first), it->second.get());
      ASSERT_EQ(table.Find(it->first), nullptr);
      model.erase(it);
    }
    ASSERT_EQ(table.size(), model.size());
    const uint64_t probe = random() % (1 << 20);
    ASSERT_EQ(table.Find(probe), model.count(probe) != 0 ? model.at(probe).get() : nullptr);
  }
  std::map<uint64_t, Thing*> seen;
  table.ForEach([&](uint64_t id, Thing* thing) { EXPECT_TRUE(seen.emplace(id, thing).second); });
  ASSERT_EQ(seen.size(), model.size());
  for (const auto& [id, thing] : model) EXPECT_EQ(seen.at(id), thing.get());
  table.Clear();
  EXPECT_TRUE(table.empty());
}

TEST(IdTable, IsAMapForRisingNumbers) {
  uint64_t id = 0;
  CompareWithMap([&] { return ++id; }, 200'000, 500);
}

TEST(IdTable, IsAMapForNumbersThatAPeerChose) {
  std::mt19937_64 random(11);
  CompareWithMap([&] { return random() % (1 << 20); }, 100'000, 2'000);
}

TEST(IdTable, IsAMapForNumbersThatAllShareASlot) {
  uint64_t id = 0;
  CompareWithMap([&] { return id += 4096; }, 20'000, 300);
}

// As far apart as numbers can be: their low bits are all the same.
TEST(IdTable, IsAMapForNumbersThatDifferInTheirHighestBits) {
  uint64_t id = 0;
  CompareWithMap([&] { return id += uint64_t{1} << 50; }, 10'000, 300);
}

TEST(IdTable, StaysAsItWasWhereThereIsNoMemoryToGrow) {
  if (!NoLargeMemory::kPossible) GTEST_SKIP() << "a sanitizer needs memory itself";
  // Numbers that fill the slots, and numbers that fill the overflow.
  for (const uint64_t step : {1, 1 << 20}) {
    std::vector<Thing> things(10'000);
    IdTable<Thing> table;
    size_t held = 0;
    {
      const NoLargeMemory none(NoLargeMemory::Of::kNew);
      while (held < things.size() && table.Insert((held + 1) * step, &things[held])) ++held;
      EXPECT_GE(none.refused(), 1);
    }
    ASSERT_GT(held, 500u);
    ASSERT_LT(held, things.size());
    EXPECT_EQ(table.size(), held);
    for (size_t i = 0; i < held; ++i) ASSERT_EQ(table.Find((i + 1) * step), &things[i]);
    EXPECT_EQ(table.Find((held + 1) * step), nullptr);
    EXPECT_TRUE(table.Insert((held + 1) * step, &things[held]));  // there is memory again
    EXPECT_EQ(table.Take((held + 1) * step), &things[held]);
  }
}

TEST(IdTable, TrimGivesTheMemoryOfAnEmptyTableBack) {
  const auto held = [] { return mallinfo2().uordblks + mallinfo2().hblkhd; };
  int value = 0;
  IdTable<int> table;
  [[maybe_unused]] const size_t before = held();
  for (uint64_t id = 1; id <= 10'000; ++id) ASSERT_TRUE(table.Insert(id, &value));
  for (uint64_t id = 1; id <= 10'000; ++id) ASSERT_EQ(table.Take(id), &value);
  table.Trim();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // malloc's own books
  EXPECT_LT(held(), before + 10'000);  // the smallest pieces stay with the thread
#endif
  ASSERT_TRUE(table.Insert(10'001, &value));
  EXPECT_EQ(table.Find(10'001), &value);
}

}  // namespace
}  // namespace weft::internal
