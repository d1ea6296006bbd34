// Memory of calls that a thread keeps for its next ones: its sizes, and whose it is.
#include "weft/rpc/call/call_memory.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace weft::test {

using namespace internal;

namespace {

TEST(CallMemory, IsAsLargeAsWasWishedAndNobodyElses) {
  for (int round = 0; round < 3; ++round) {
    std::vector<std::pair<unsigned char*, size_t>> taken;
    for (size_t i = 0; i < 3 * CallMemory::kKept; ++i) {
      // Both kept sizes to their last byte, one byte more than each, and more pieces than are kept.
      for (const size_t size : {size_t{1}, CallMemory::kSmall, CallMemory::kSmall + 1,
                                CallMemory::kLarge, CallMemory::kLarge + 1}) {
        auto* const memory = static_cast<unsigned char*>(CallMemory::Take(size));
        EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % alignof(std::max_align_t), 0u);
        // A value of its own for each piece: one that was given out twice would show the later
        // value.
        std::memset(memory, static_cast<int>(taken.size() % 251), size);
        taken.emplace_back(memory, size);
      }
    }
    for (size_t i = 0; i < taken.size(); ++i) {
      const auto& [memory, size] = taken[i];
      EXPECT_EQ(memory[0], i % 251);
      EXPECT_EQ(memory[size - 1], i % 251);
      CallMemory::Give(memory);
    }
  }
}

TEST(CallMemory, MayBeGivenBackByAnotherThread) {
  std::vector<void*> taken;
  for (size_t i = 0; i < 2 * CallMemory::kKept; ++i) taken.push_back(CallMemory::Take(100));
  std::thread([&] {
    for (void* memory : taken) CallMemory::Give(memory);
    // The other thread uses what it was given.
    for (int i = 0; i < 10; ++i) CallMemory::Give(CallMemory::Take(100));
  }).join();
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(CallMemory, IsUsedAgainByTheThreadThatGaveItBack) {
  std::thread([] {
    // A thread of its own has kept nothing yet. Under a sanitizer no thread keeps anything.
    std::set<void*> before;
    std::vector<void*> taken;
    for (size_t i = 0; i < CallMemory::kKept; ++i) {
      taken.push_back(CallMemory::Take(100));
      before.insert(taken.back());
    }
    for (void* memory : taken) CallMemory::Give(memory);
    taken.clear();
    for (size_t i = 0; i < CallMemory::kKept; ++i) {
      // Another size, but of the same list.
      taken.push_back(CallMemory::Take(200));
      EXPECT_TRUE(before.contains(taken.back())) << i;
    }
    for (void* memory : taken) CallMemory::Give(memory);
  }).join();
}
#endif

}  // namespace
}  // namespace weft::test
