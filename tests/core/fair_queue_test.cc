// The order in which a worker pool's queue gives out items of several shares, and what the queue
// refuses at its limit. Tests with threads show that no item is lost and none overtakes another of
// its share.
#include "weft/core/fair_queue.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::internal {
namespace {

using ::testing::ElementsAre;

class Item final : public WorkItem {
 public:
  void Run(int) override {}
  void Cancel() override {}
  int owner = 0;
  int number = 0;
};

// A connection that submits items, with a share of its own.
class Peer {
 public:
  Peer(FairQueue& queue, int name) : queue_(queue), name_(name) {}

  // Pushes `count` new items. Returns how many the queue took.
  size_t Push(size_t count) {
    std::vector<WorkItem*> batch;
    for (size_t i = 0; i < count; ++i) batch.push_back(&New());
    return queue_.TryPush(batch.data(), count);
  }
  Item& New() {
    Item& item = *items.emplace_back(std::make_unique<Item>());
    item.owner = name_;
    item.number = static_cast<int>(items.size()) - 1;
    item.SetShare(&share);
    return item;
  }

  WorkShare share;
  std::vector<std::unique_ptr<Item>> items;

 private:
  FairQueue& queue_;
  const int name_;
};

constexpr size_t kQuantum = FairQueue::kMinQuantum;

class FairQueueTest : public testing::Test {
 protected:
  // Takes the next items, at most `most`, and returns their owners.
  std::vector<int> Take(size_t most = SIZE_MAX) {
    std::vector<int> owners;
    while (owners.size() < most) {
      WorkItem* const item = queue_.TryTake();
      if (item == nullptr) break;
      const Item& taken = static_cast<Item&>(*item);
      owners.push_back(taken.owner);
      if (static_cast<size_t>(taken.owner) < last_.size()) {
        EXPECT_GT(taken.number, last_[static_cast<size_t>(taken.owner)]) << "out of order";
        last_[static_cast<size_t>(taken.owner)] = taken.number;
      }
    }
    return owners;
  }
  // Takes items until one is `owner`'s. Returns how many came before it.
  size_t Before(int owner) {
    size_t before = 0;
    for (std::vector<int> next = Take(1); !next.empty() && next[0] != owner; next = Take(1)) {
      ++before;
    }
    return before;
  }

  // A quantum of 0 stands for the least one, kQuantum.
  FairQueue queue_{1'000, 0};
  std::vector<int> last_ = std::vector<int>(8, -1);
  Peer hog_{queue_, 1}, other_{queue_, 2}, third_{queue_, 3};
};

TEST_F(FairQueueTest, TakesTheItemsOfAShareInTheirOrder) {
  // Single items for the express, small batches for the ring, and large ones for the share's line.
  for (const size_t batch : {1u, 1u, 3u, 1u, 20u, 1u, 7u, 40u}) {
    EXPECT_EQ(hog_.Push(batch), batch);
    Take(batch / 2);
  }
  Take();
  EXPECT_EQ(last_[1], 73);
  EXPECT_EQ(queue_.size(), 0u);
  EXPECT_EQ(hog_.share.waiting(), 0u);
}

TEST_F(FairQueueTest, ASingleItemGoesAheadOfAnothersThousand) {
  hog_.Push(900);
  other_.Push(1);
  // The single item goes by the express, which comes before the other share's items in the ring.
  EXPECT_EQ(Before(2), 0u);
  EXPECT_EQ(queue_.size(), 900u);
  Take();
}

TEST_F(FairQueueTest, ABatchWaitsForAQuantumOfAnothersAtTheMost) {
  hog_.Push(900);
  // Only a single item may use the express.
  other_.Push(5);
  EXPECT_LE(Before(2), kQuantum);
  EXPECT_THAT(Take(4), ElementsAre(2, 2, 2, 2));
  Take();
}

TEST_F(FairQueueTest, GoesRoundItsShares) {
  for (Peer* peer : {&hog_, &other_, &third_}) peer->Push(300);
  for (int i = 0; i < 10; ++i) {
    const std::vector<int> taken = Take(3 * kQuantum);
    for (const int owner : {1, 2, 3}) {
      EXPECT_EQ(std::count(taken.begin(), taken.end(), owner), kQuantum);
    }
  }
  Take();
}

// Peers whose items come one at a time, again and again, let the others have theirs.
TEST_F(FairQueueTest, TheExpressStarvesNobody) {
  constexpr size_t kPeers = 20;
  hog_.Push(100);
  std::vector<std::unique_ptr<Peer>> sparse;
  for (size_t i = 0; i < kPeers; ++i) {
    sparse.emplace_back(std::make_unique<Peer>(queue_, 100 + static_cast<int>(i)))->Push(1);
  }
  // Takes the next items, and returns how many of them were the hog's. A sparse peer has its next
  // item at once.
  const auto take = [&](size_t count) {
    size_t of_hog = 0;
    for (size_t i = 0; i < count; ++i) {
      for (const int owner : Take(1)) {
        if (owner == 1) {
          ++of_hog;
        } else {
          sparse[static_cast<size_t>(owner - 100)]->Push(1);
        }
      }
    }
    return of_hog;
  };
  EXPECT_EQ(take(kPeers), 0u) << "the express goes first";
  // A peer that has used it goes by the ring then, and may use it again when that item has been
  // taken. So each time that the ring goes round a sparse peer has two items taken, and the hog its
  // quantum.
  for (int round = 0; round < 12; ++round) {
    EXPECT_EQ(take(kQuantum + 2 * kPeers), kQuantum) << round;
  }
  Take();
}

TEST_F(FairQueueTest, AnExpressItemIsNotOvertakenByWhatComesBehindIt) {
  hog_.Push(20);
  other_.Push(1);
  // These items wait in the line until the first one has been taken. In the ring they could come
  // before it.
  other_.Push(5);
  other_.Push(1);
  EXPECT_EQ(Before(2), 0u);
  Take();
  EXPECT_EQ(last_[2], 6);
}

TEST_F(FairQueueTest, RefusesWhatGoesBeyondItsLimitAndLeavesItAtTheEnd) {
  FairQueue queue(20, 0);
  Peer peer(queue, 1);
  std::vector<WorkItem*> batch;
  for (int i = 0; i < 30; ++i) batch.push_back(&peer.New());
  ASSERT_EQ(queue.TryPush(batch.data(), 30), 20u);
  // The refused items keep their order, so that the caller can answer them or try them again.
  for (size_t i = 20; i < 30; ++i) EXPECT_EQ(batch[i], peer.items[i].get());
  EXPECT_EQ(queue.size(), 20u);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(queue.TryTake(), peer.items[static_cast<size_t>(i)].get());
  EXPECT_EQ(queue.TryTake(), nullptr);
}

TEST_F(FairQueueTest, OfABatchOfSeveralThoseAreRefusedThatHoldTheMost) {
  FairQueue queue(40, 0);
  Peer hog(queue, 1), other(queue, 2);
  ASSERT_EQ(hog.Push(100), 40u);
  // One batch holds items of both shares in turn, as a batch of a loop's turn does.
  std::vector<WorkItem*> batch;
  for (int i = 0; i < 3; ++i) {
    for (int k = 0; k < 5; ++k) batch.push_back(&hog.New());
    for (int k = 0; k < 5; ++k) batch.push_back(&other.New());
  }
  // The limit is reached already. The other share holds nothing yet and may have 20, its part.
  EXPECT_EQ(queue.TryPush(batch.data(), batch.size()), 15u);
  for (size_t i = 15; i < 30; ++i) EXPECT_EQ(static_cast<Item*>(batch[i])->owner, 1) << i;
  while (queue.TryTake() != nullptr) {
  }
}

TEST_F(FairQueueTest, AtTheLimitAShareGetsItsPartAndNoMore) {
  FairQueue queue(100, 0);
  Peer hog(queue, 1), other(queue, 2);
  ASSERT_EQ(hog.Push(500), 100u);
  // Two shares have a line, so the part of each is half of the limit.
  EXPECT_EQ(other.Push(500), 50u);
  EXPECT_EQ(other.Push(1), 0u);
  EXPECT_EQ(hog.Push(1), 0u);
  // All lines together hold at most twice the limit, and the ring may hold the limit beside them.
  std::vector<std::unique_ptr<Peer>> more;
  for (int i = 0; i < 50; ++i) more.emplace_back(std::make_unique<Peer>(queue, 3 + i))->Push(500);
  EXPECT_LE(queue.size(), 300u);
  while (queue.TryTake() != nullptr) {
  }
  EXPECT_EQ(queue.size(), 0u);
}

TEST_F(FairQueueTest, ASingleItemIsTakenAtTheLimit) {
  FairQueue queue(4, 0);
  Peer hog(queue, 1), other(queue, 2);
  ASSERT_EQ(hog.Push(100), 4u);
  // The express has room of its own.
  EXPECT_EQ(other.Push(1), 1u);
  EXPECT_EQ(static_cast<Item*>(queue.TryTake())->owner, 2);
  while (queue.TryTake() != nullptr) {
  }
}

TEST_F(FairQueueTest, ItemsOfNobodyAreBoundedByTheLimit) {
  FairQueue queue(10, 0);
  Peer peer(queue, 1);
  ASSERT_EQ(peer.Push(9), 9u);
  // Items without a share go straight to the ring, and have no line to wait in.
  Item items[2];
  WorkItem* batch[] = {&items[0], &items[1]};
  EXPECT_EQ(queue.TryPush(batch, 2), 1u);
  EXPECT_EQ(batch[1], &items[1]);
  while (queue.TryTake() != nullptr) {
  }
}

TEST_F(FairQueueTest, TakesBackWhatStandsInTheLine) {
  hog_.Push(30);
  EXPECT_FALSE(queue_.Withdraw(*hog_.items[0])) << "it is in the ring";
  // The last of the line, one in its middle, and its first.
  for (const size_t i : {size_t{29}, size_t{15}, kQuantum}) {
    EXPECT_TRUE(queue_.Withdraw(*hog_.items[i]));
    EXPECT_FALSE(queue_.Withdraw(*hog_.items[i]));
  }
  EXPECT_EQ(queue_.size(), 27u);
  EXPECT_EQ(Take().size(), 27u);
  EXPECT_FALSE(queue_.Withdraw(*hog_.items[20])) << "it was taken";
  hog_.Push(1);
  EXPECT_THAT(Take(), ElementsAre(1));
}

TEST_F(FairQueueTest, TakesBackTheWholeLine) {
  hog_.Push(30);
  other_.Push(30);
  std::vector<int> numbers;
  queue_.WithdrawAll(hog_.share,
                     [&](WorkItem& item) { numbers.push_back(static_cast<Item&>(item).number); });
  ASSERT_EQ(numbers.size(), 30 - kQuantum);
  EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
  EXPECT_EQ(queue_.size(), 30 + kQuantum);
  const std::vector<int> left = Take();
  EXPECT_EQ(std::count(left.begin(), left.end(), 1), kQuantum);
  hog_.Push(20);
  EXPECT_EQ(Take().size(), 20u);
}

TEST_F(FairQueueTest, WhatGoesOnIsNeverRefusedAndStandsBehindTheOthers) {
  FairQueue queue(1, 0);
  Peer hog(queue, 1), other(queue, 2);
  ASSERT_EQ(hog.Push(5), 1u);
  // Ring and express have no room for so many, so most of these items wait in the share's line.
  for (int i = 0; i < 20; ++i) queue.Push(other.New());
  Item nobodys;
  // An item without a share has no line to wait in, and the ring is full.
  queue.Push(nobodys);
  EXPECT_EQ(queue.size(), 22u);
  int last = -1, taken = 0;
  while (WorkItem* item = queue.TryTake()) {
    ++taken;
    const Item& one = static_cast<Item&>(*item);
    if (one.owner != 2) continue;
    EXPECT_GT(one.number, last);
    last = one.number;
  }
  EXPECT_EQ(taken, 22);
  EXPECT_EQ(queue.size(), 0u);
}

// Producers have a share each, and one of them withdraws items, while consumers take them. Each
// item must come out once.
TEST_F(FairQueueTest, LosesNothingBetweenThreads) {
  constexpr int kProducers = 3, kConsumers = 2, kRounds = 3'000;
  FairQueue queue(1'000, 0);
  std::vector<std::unique_ptr<Peer>> peers;
  for (int p = 0; p < kProducers; ++p) peers.push_back(std::make_unique<Peer>(queue, p));
  std::atomic<int> pushed{0}, ended{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int p = 0; p < kProducers; ++p) {
    threads.emplace_back([&, p] {
      Peer& peer = *peers[static_cast<size_t>(p)];
      for (int i = 0; i < kRounds; ++i) {
        const size_t batch = 1 + static_cast<size_t>(i * (p + 1)) % 13;
        pushed.fetch_add(static_cast<int>(peer.Push(batch)));
        if (p == 0 && i % 7 == 0 && queue.Withdraw(*peer.items.back())) ended.fetch_add(1);
        if (i % 50 == 0) std::this_thread::yield();
      }
    });
  }
  for (int c = 0; c < kConsumers; ++c) {
    threads.emplace_back([&] {
      while (!done.load()) {
        if (queue.TryTake() != nullptr) {
          ended.fetch_add(1);
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  for (int p = 0; p < kProducers; ++p) threads[static_cast<size_t>(p)].join();
  while (ended.load() < pushed.load()) std::this_thread::yield();  // never ends if an item is lost
  done.store(true);
  for (size_t t = kProducers; t < threads.size(); ++t) threads[t].join();
  EXPECT_EQ(ended.load(), pushed.load());
  EXPECT_EQ(queue.size(), 0u);
  for (const auto& peer : peers) EXPECT_EQ(peer->share.waiting(), 0u);
}

// A worker counts a line out at the moment in which the connection asks how much room its share
// has.
TEST_F(FairQueueTest, HasRoomForAShareWhoseLineHasJustGone) {
  // A batch has one item more than the ring takes of a share, so each batch makes a line, and
  // taking its items ends the line. The number of lines may then be 0 for a moment, and a share's
  // part is the limit divided by that number.
  constexpr size_t kRounds = 60'000, kBatch = FairQueue::kMinQuantum + 1;
  FairQueue queue(1'000, 0);
  Peer peer(queue, 1);
  std::atomic<size_t> pushed{0};
  std::atomic<bool> done{false};
  std::thread producer([&] {
    for (size_t i = 0; i < kRounds; ++i) pushed.fetch_add(peer.Push(kBatch));
    done.store(true);
  });
  size_t taken = 0;
  while (!done.load() || taken < pushed.load()) {
    if (queue.TryTake() != nullptr) ++taken;
  }
  producer.join();
  EXPECT_EQ(taken, pushed.load());
  EXPECT_EQ(queue.size(), 0u);
}

// With one consumer, the items of a share come in the order in which they were pushed, whichever
// way each of them took.
TEST_F(FairQueueTest, KeepsTheOrderOfAShareBetweenThreads) {
  constexpr size_t kItems = 30'000;
  FairQueue queue(1'000, 0);
  Peer peer(queue, 1), other(queue, 2);
  for (size_t i = 0; i < kItems; ++i) peer.New();
  std::thread producer([&] {
    for (size_t i = 0; i < kItems;) {
      WorkItem* batch[20];
      // Every third batch is a single item, which may go by the express.
      const size_t count = std::min(kItems - i, i % 3 == 0 ? size_t{1} : 1 + i % 20);
      for (size_t k = 0; k < count; ++k) batch[k] = peer.items[i + k].get();
      for (size_t k = 0; k < count;) {
        // Push the refused items again, in their order.
        const size_t taken = queue.TryPush(batch + k, count - k);
        k += taken;
        if (k < count) std::this_thread::yield();
      }
      i += count;
      if (i % 11 == 0) (void)other.Push(1);
    }
  });
  int last = -1;
  while (last + 1 < static_cast<int>(kItems)) {
    WorkItem* const item = queue.TryTake();
    if (item == nullptr) {
      std::this_thread::yield();
      continue;
    }
    const Item& one = static_cast<Item&>(*item);
    if (one.owner != 1) continue;
    ASSERT_EQ(one.number, last + 1);
    last = one.number;
  }
  producer.join();
  while (queue.TryTake() != nullptr) {
  }
}

}  // namespace
}  // namespace weft::internal
