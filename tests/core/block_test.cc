// References to a block, and the arena that a loop reads into: when the same bytes are filled
// again, and when a slice that somebody keeps prevents that.
#include "weft/core/block.h"

#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "weft/core/input_arena.h"

namespace weft::internal {
namespace {

TEST(BlockRef, CountsItsHolders) {
  BlockRef a = BlockRef::New(100);
  ASSERT_TRUE(a);
  EXPECT_EQ(a->capacity(), 100u);
  EXPECT_TRUE(a->Sole());
  {
    BlockRef b = a;
    EXPECT_EQ(a.get(), b.get());
    EXPECT_FALSE(a->Sole());
    BlockRef c = std::move(b);
    EXPECT_FALSE(b);
    EXPECT_FALSE(a->Sole());
  }
  EXPECT_TRUE(a->Sole());
}

TEST(BlockRef, AssignsOverItselfAndOthers) {
  BlockRef a = BlockRef::New(8), b = BlockRef::New(8);
  Block* const kept = a.get();
  b = a;
  EXPECT_EQ(b.get(), kept);
  // Assign through a reference: compilers warn of `a = a`.
  const BlockRef& self = a;
  a = self;
  EXPECT_EQ(a.get(), kept);
  a.reset();
  a.reset();
  EXPECT_FALSE(a);
  // This fails if the self-assignment leaked a reference.
  EXPECT_TRUE(b->Sole());
}

TEST(BlockRef, MayBeEmpty) {
  BlockRef none;
  const BlockRef copy = none;
  EXPECT_FALSE(copy);
  EXPECT_EQ(BlockRef::New(0)->capacity(), 0u);
}

TEST(BlockRef, IsLetGoByManyThreadsAtOnce) {
  for (int round = 0; round < 200; ++round) {
    BlockRef block = BlockRef::New(64);
    std::memset(block->data(), 7, 64);
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([copy = block]() mutable {
        EXPECT_EQ(copy->data()[63], 7);
        copy.reset();
      });
    }
    // Sole() means that the others have stopped reading, so the bytes may be written again.
    while (!block->Sole()) std::this_thread::yield();
    std::memset(block->data(), 8, 64);
    for (std::thread& t : threads) t.join();
  }
}

// The arena asserts nothing about its thread: a test may be the loop.
TEST(InputArena, FillsTheSameBytesAgainWhileNobodyKeepsThem) {
  BlockPool pool;
  InputArena arena(pool);
  char* const space = arena.space();
  EXPECT_EQ(arena.room(), InputArena::kBlock);
  arena.Release(1'000);
  EXPECT_EQ(arena.space(), space);
  EXPECT_EQ(arena.room(), InputArena::kBlock);
}

TEST(InputArena, LeavesBytesAloneAsLongAsASliceLives) {
  BlockPool pool;
  InputArena arena(pool);
  char* const first = arena.space();
  std::memset(first, 'a', 1'000);
  BlockRef kept = arena.block();
  arena.Release(1'000);
  EXPECT_EQ(arena.space(), first + 1'000);
  EXPECT_EQ(arena.room(), InputArena::kBlock - 1'000);
  std::memset(arena.space(), 'b', 500);
  EXPECT_EQ(first[999], 'a');
  // Release finds no slice left, so the block is filled from its beginning again.
  kept.reset();
  arena.Release(500);
  EXPECT_EQ(arena.space(), first);
}

TEST(InputArena, TakesANewBlockWhenThereIsLittleRoomLeft) {
  BlockPool pool;
  InputArena arena(pool);
  arena.space();
  BlockRef kept = arena.block();
  // One byte less than the least room is left.
  arena.Release(InputArena::kBlock - InputArena::kMinRoom + 1);
  EXPECT_EQ(arena.room(), InputArena::kBlock);
  EXPECT_NE(arena.space(), kept->data());
}

// Gives the arena's block up, with a slice of it out, and says where it was.
char* GiveUpBlock(InputArena& arena, BlockRef* slice) {
  char* const space = arena.space();
  *slice = arena.block();
  arena.Release(InputArena::kBlock);
  return space;
}

TEST(InputArena, TakesABlockBackOnceNobodyRefersToIt) {
  BlockPool pool;
  InputArena arena(pool);
  BlockRef first_slice, second_slice;
  char* const first = GiveUpBlock(arena, &first_slice);
  char* const second = GiveUpBlock(arena, &second_slice);
  EXPECT_NE(first, second);
  second_slice.reset();
  EXPECT_EQ(arena.space(), second);  // the first one is still in use
  BlockRef again;
  GiveUpBlock(arena, &again);
  // `again` holds the second block, so only the first can come back.
  first_slice.reset();
  EXPECT_EQ(arena.space(), first);
}

TEST(BlockRef, IsAlignedToHugePagesWhereItIsLargeEnough) {
  for (size_t size : {size_t{2} << 20, (size_t{2} << 20) + 1, size_t{7'000'001}}) {
    const BlockRef block = BlockRef::New(size);
    // Write every byte: the block has given back the pages before and behind its aligned range, and
    // must not have given back any of its own.
    std::memset(block->data(), 5, size);
    EXPECT_EQ(block->capacity(), size);
#if !defined(__SANITIZE_ADDRESS__)
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block.get()) % (2 << 20), 0u);
#endif
  }
}

}  // namespace
}  // namespace weft::internal
