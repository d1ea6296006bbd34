// The blocks of a loop that are used again: sizes of classes, what stays free and what Trim gives
// back, and blocks that come back from other threads or behind the pool's end.
#include "weft/core/block_pool.h"

#include <cstring>
#include <memory>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/process_resources.h"

namespace weft::internal {
namespace {

constexpr size_t kMiB = 1 << 20;

TEST(BlockPool, HandsOutAgainWhatNobodyRefersTo) {
  BlockPool pool;
  BlockRef one = pool.Get(kMiB);
  char* const memory = one->data();
  EXPECT_NE(pool.Get(kMiB)->data(), memory);
  one.reset();
  EXPECT_EQ(pool.Get(kMiB)->data(), memory);
}

TEST(BlockPool, GivesAtLeastWhatWasAskedForAndLittleMore) {
  BlockPool pool;
  for (size_t size = 1; size < 20 * kMiB; size += size / 5 + 1) {
    const BlockRef block = pool.TryGet(size);
    ASSERT_TRUE(block) << size;
    EXPECT_GE(block->capacity(), size);
    // Above the least class, classes are a quarter of a power of two apart.
    EXPECT_LE(block->capacity(), std::max(BlockPool::kMin, size + size / 4 + 64)) << size;
    block->data()[0] = block->data()[size - 1] = 1;
  }
}

TEST(BlockPool, UsesABlockForEverySizeOfItsClass) {
  BlockPool pool;
  for (int i = 0; i < 100; ++i) {
    // The sizes grow by 990 in all, which leaves each of them within its class.
    for (size_t size : {33'000, 70'000, 600'000, 5'000'000}) pool.Get(size + 10 * i);
  }
  EXPECT_EQ(pool.counts().made, 4u);
  EXPECT_EQ(pool.counts().out, 0u);
}

TEST(BlockPool, UsesABlockOfUpToTwiceTheSizeWhereThereIsNoneOfItsClass) {
  BlockPool pool;
  pool.Get(7'000'000);
  // Each size is more than half of the block that is free.
  for (size_t size : {6'900'000, 6'000'000, 5'000'000, 4'500'000}) {
    EXPECT_GE(pool.Get(size)->capacity(), 7'000'000u);
  }
  EXPECT_EQ(pool.counts().made, 1u);
  // The free block is seven times as large as this request, so it is not used for it.
  pool.Get(1'000'000);
  EXPECT_EQ(pool.counts().made, 2u);
}

TEST(BlockPool, KeepsNoMoreThanItsBound) {
  BlockPool pool;
  std::vector<BlockRef> blocks;
  for (size_t i = 0; i < 3 * BlockPool::kMaxFree / kMiB; ++i) blocks.push_back(pool.Get(kMiB));
  const BlockRef small = pool.Get(BlockPool::kMin);
  EXPECT_EQ(pool.counts().free_bytes, 0u);
  blocks.clear();
  EXPECT_LE(pool.counts().free_bytes, BlockPool::kMaxFree);
  EXPECT_GT(pool.counts().free_bytes, BlockPool::kMaxFree / 2);
  // This block alone is larger than all that the pool may keep.
  const BlockPool::Counts before = pool.counts();
  pool.Get(BlockPool::kMaxFree + 1).reset();
  EXPECT_EQ(pool.counts().free_bytes, before.free_bytes);
}

TEST(BlockPool, LetsGoOfTheLargestFirst) {
  BlockPool pool;
  BlockRef large = pool.Get(BlockPool::kMaxFree / 2);
  std::vector<BlockRef> blocks;
  for (size_t i = 0; i < BlockPool::kMaxFree / kMiB / 2; ++i) blocks.push_back(pool.Get(kMiB));
  // The large block comes back first, and small ones pass the bound. Dropping the block that came
  // back last would lose small ones.
  large.reset();
  blocks.clear();
  const uint64_t made = pool.counts().made;
  for (size_t i = 0; i < 10; ++i) blocks.push_back(pool.Get(kMiB));
  EXPECT_EQ(pool.counts().made, made);
  pool.Get(BlockPool::kMaxFree / 2);
  EXPECT_EQ(pool.counts().made, made + 1);
}

TEST(BlockPool, TrimGivesBackWhatWasNotNeededSinceTheLast) {
  BlockPool pool;
  std::vector<BlockRef> burst;
  for (int i = 0; i < 10; ++i) burst.push_back(pool.Get(100'000));
  burst.clear();
  EXPECT_TRUE(pool.Trim());  // the burst came after the last Trim
  EXPECT_EQ(pool.counts().free_blocks, 10u);
  // Two are in use together, so the fewest that are free at any time are eight.
  for (int i = 0; i < 5; ++i) {
    const BlockRef one = pool.Get(100'000), other = pool.Get(100'000);
  }
  EXPECT_TRUE(pool.Trim());
  EXPECT_EQ(pool.counts().free_blocks, 6u) << "half of eight";
  EXPECT_FALSE(pool.Trim());
  EXPECT_EQ(pool.counts().free_bytes, 0u) << "none was needed";
}

TEST(BlockPool, ASpareBlockStaysWhileOthersOfItsSizeAreUsed) {
  BlockPool pool;
  const auto use = [&](size_t together) {
    std::vector<BlockRef> blocks;
    for (size_t i = 0; i < together; ++i) blocks.push_back(pool.Get(kMiB));
  };
  use(8);
  // Two or three blocks are in use between two calls of Trim. If Trim gave back all that lay
  // unused, the third block would be made anew every other time.
  for (size_t looks = 0; looks < 10; ++looks) {
    pool.Trim();
    use(2 + looks % 2);
  }
  EXPECT_EQ(pool.counts().made, 8u);
  EXPECT_LE(pool.counts().free_blocks, 4u);
  use(3);
  EXPECT_EQ(pool.counts().made, 8u);
}

TEST(BlockPool, KeepsNothingThatComesBackWhileItIsQuiet) {
  BlockPool pool;
  BlockRef kept = pool.Get(kMiB);
  pool.SetQuiet(true);
  // The block was taken before the pool was quiet: the state at the moment of its return decides.
  kept.reset();
  EXPECT_EQ(pool.counts().free_bytes, 0u);
  pool.SetQuiet(false);
  pool.Get(kMiB);
  EXPECT_EQ(pool.counts().free_blocks, 1u);
}

TEST(BlockPool, BlocksOutliveIt) {
  auto pool = std::make_unique<BlockPool>();
  // One block is a mapping, the other comes from malloc; a third is free when the pool goes.
  BlockRef one = pool->Get(kMiB), other = pool->Get(20'000);
  pool->Get(kMiB);
  pool.reset();
  std::memset(one->data(), 7, kMiB);
  std::memset(other->data(), 7, 20'000);
}

TEST(BlockPool, TakesBlocksBackFromAnyThread) {
  BlockPool pool;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&pool, t] {
      for (int i = 0; i < 2'000; ++i) {
        // Each thread goes through the same five sizes, of different classes, from a different
        // start.
        BlockRef block = pool.Get(static_cast<size_t>(17'000 + 9'000 * ((i + t) % 5)));
        block->data()[block->capacity() - 1] = static_cast<char>(i);
        const BlockRef second = block;
        block.reset();
      }
    });
  }
  // Call Trim and SetQuiet from this thread meanwhile, as the trimmer of a loop does.
  for (int i = 0; i < 200; ++i) {
    pool.Trim();
    pool.SetQuiet(i % 2 == 0);
    std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool.counts().out, 0u);
}

// Sanitizers reserve most of the address space for themselves, so a limit on it is of no use there.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(BlockPool, LetsGoOfWhatIsFreeBeforeItGivesUp) {
  BlockPool pool;
  {
    // These sizes are above the ones that malloc takes from its heap, so each block is a mapping of
    // its own.
    const BlockRef one = pool.Get(47 * kMiB), other = pool.Get(47 * kMiB);
  }
  EXPECT_EQ(pool.counts().free_blocks, 2u);
  // A block of the class of 96 MiB fits only where the two blocks of 48 MiB were. The 4 MiB are for
  // the spare that its alignment to huge pages needs.
  const FewAddresses few(4 * kMiB);
  const BlockRef block = pool.TryGet(90 * kMiB);
  EXPECT_TRUE(block) << "there is memory where the free ones were";
  EXPECT_EQ(pool.counts().free_blocks, 0u);
  EXPECT_FALSE(pool.TryGet(500 * kMiB));
  EXPECT_THROW(pool.Get(500 * kMiB), std::bad_alloc);
  EXPECT_EQ(pool.counts().out, 1u) << "what there was no memory for is not out";
}
#endif

TEST(BlockPool, HasNothingForWhatCannotBe) {
  BlockPool pool;
  // Refused before any arithmetic: adding the header or rounding up could overflow.
  EXPECT_FALSE(pool.TryGet(SIZE_MAX / 2));
  EXPECT_FALSE(BlockRef::TryNew(SIZE_MAX / 2));
  EXPECT_THROW(pool.Get(SIZE_MAX / 2), std::bad_alloc);
  EXPECT_THROW(BlockRef::New(SIZE_MAX / 2), std::bad_alloc);
  EXPECT_EQ(pool.counts().out, 0u);
}

}  // namespace
}  // namespace weft::internal
