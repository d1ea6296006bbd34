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
      for (const size_t size : {size_t{1}, CallMemory::kSmall, CallMemory::kSmall + 1,
                                CallMemory::kLarge, CallMemory::kLarge + 1}) {
        auto* const memory = static_cast<unsigned char*>(CallMemory::Take(size));
        EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % alignof(std::max_align_t), 0u);
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
    for (int i = 0; i < 10; ++i) CallMemory::Give(CallMemory::Take(100));
  }).join();
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(CallMemory, IsUsedAgainByTheThreadThatGaveItBack) {
  std::thread([] {
    std::set<void*> before;
    std::vector<void*> taken;
    for (size_t i = 0; i < CallMemory::kKept; ++i) {
      taken.push_back(CallMemory::Take(100));
      before.insert(taken.back());
    }
    for (void* memory : taken) CallMemory::Give(memory);
    taken.clear();
    for (size_t i = 0; i < CallMemory::kKept; ++i) {
      taken.push_back(CallMemory::Take(200));
      EXPECT_TRUE(before.contains(taken.back())) << i;
    }
    for (void* memory : taken) CallMemory::Give(memory);
  }).join();
}
#endif

}  // namespace
}  // namespace weft::test
