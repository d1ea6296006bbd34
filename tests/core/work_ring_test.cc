// The ring between producers and consumers: its limit, its batches, and threads that must not lose
// or reorder items.
#include "weft/core/work_ring.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

struct Item {
  int producer = 0;
  int number = 0;
};

TEST(WorkRing, IsFirstInFirstOut) {
  WorkRing<Item> ring(4);
  Item items[3];
  for (Item& item : items) EXPECT_TRUE(ring.TryPush(&item));
  EXPECT_EQ(ring.size(), 3u);
  for (Item& item : items) EXPECT_EQ(ring.TryTake(), &item);
  EXPECT_EQ(ring.TryTake(), nullptr);
  EXPECT_EQ(ring.size(), 0u);
  EXPECT_EQ(ring.taken(), 3u);
}

TEST(WorkRing, HoldsExactlyItsLimit) {
  for (const size_t limit : {1u, 2u, 3u, 5u, 7u, 8u, 1'000u}) {
    WorkRing<Item> ring(limit);
    EXPECT_EQ(ring.limit(), limit);
    Item item;
    // Go round several times, so that each cell has its turn at the border.
    for (int round = 0; round < 5; ++round) {
      for (size_t i = 0; i < limit; ++i) ASSERT_TRUE(ring.TryPush(&item)) << limit;
      EXPECT_FALSE(ring.TryPush(&item)) << limit;
      EXPECT_EQ(ring.size(), limit);
      EXPECT_EQ(ring.TryTake(), &item);
      EXPECT_TRUE(ring.TryPush(&item));
      EXPECT_FALSE(ring.TryPush(&item));
      for (size_t i = 0; i < limit; ++i) ASSERT_EQ(ring.TryTake(), &item);
      EXPECT_EQ(ring.TryTake(), nullptr);
    }
  }
}

TEST(WorkRing, TakesInTheFirstOfABatchThatItHasRoomFor) {
  WorkRing<Item> ring(5);
  Item items[4];
  Item* batch[4] = {&items[0], &items[1], &items[2], &items[3]};
  // Go round several times, over the end of the cells.
  for (int round = 0; round < 20; ++round) {
    EXPECT_EQ(ring.TryPush(batch, 4), 4u);
    EXPECT_EQ(ring.TryPush(batch, 4), 1u);
    EXPECT_EQ(ring.TryPush(batch, 4), 0u);
    EXPECT_EQ(ring.size(), 5u);
    for (Item& item : items) EXPECT_EQ(ring.TryTake(), &item);
    EXPECT_EQ(ring.TryTake(), &items[0]);
    EXPECT_EQ(ring.TryTake(), nullptr);
  }
}

TEST(WorkRing, LosesNothingAndKeepsEachProducersOrder) {
  constexpr int kProducers = 3, kConsumers = 3, kItems = 20'000;
  // The ring is far smaller than the number of items, so it is full and empty again and again.
  WorkRing<Item> ring(64);
  std::vector<std::vector<Item>> items(kProducers, std::vector<Item>(kItems));
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int p = 0; p < kProducers; ++p) {
    threads.emplace_back([&, p] {
      for (int i = 0; i < kItems;) {
        // Items come singly, and in batches of up to seven.
        Item* batch[7];
        const int wanted = std::min(1 + i % 7, kItems - i);
        for (int k = 0; k < wanted; ++k) {
          items[p][i + k] = {p, i + k};
          batch[k] = &items[p][i + k];
        }
        const auto done = static_cast<int>(ring.TryPush(batch, static_cast<size_t>(wanted)));
        i += done;
        if (done < wanted) std::this_thread::yield();
      }
    });
  }
  std::vector<std::atomic<int>> seen(kProducers * kItems);
  for (int c = 0; c < kConsumers; ++c) {
    threads.emplace_back([&] {
      std::vector<int> last(kProducers, -1);
      while (taken.load() < kProducers * kItems) {
        const Item* item = ring.TryTake();
        if (item == nullptr) {
          std::this_thread::yield();
          continue;
        }
        EXPECT_GT(item->number, last[item->producer]);
        last[item->producer] = item->number;
        seen[item->producer * kItems + item->number].fetch_add(1);
        taken.fetch_add(1);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  for (const std::atomic<int>& n : seen) ASSERT_EQ(n.load(), 1);
  EXPECT_EQ(ring.size(), 0u);
}

// Each producer has one item in the ring at most, so the ring is never full. A producer that was
// overtaken while it looked must not take it for full.
TEST(WorkRing, IsNeverFullBelowItsLimit) {
  constexpr int kThreads = 4, kRounds = 30'000;
  WorkRing<Item> ring(2 * kThreads);
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      Item item;
      for (int i = 0; i < kRounds; ++i) {
        if (!ring.TryPush(&item)) refused.fetch_add(1);
        // Take any item, not necessarily the one pushed above.
        while (ring.TryTake() == nullptr && ring.size() > 0) std::this_thread::yield();
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(refused.load(), 0);
}

}  // namespace
}  // namespace weft::internal
