#include "tests/support/no_large_memory.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <utility>

#include <gtest/gtest.h>

namespace weft {
namespace {

constexpr size_t kPieces = 8'000, kPiece = 1'000;
constinit std::atomic<bool> none{false};
constinit std::atomic<int> refusals{0};

[[maybe_unused]] size_t AddressSpace() {
  long pages = 0;
  FILE* const file = std::fopen("/proc/self/statm", "r");
  EXPECT_TRUE(file != nullptr && std::fscanf(file, "%ld", &pages) == 1);
  if (file != nullptr) std::fclose(file);
  return static_cast<size_t>(pages) * static_cast<size_t>(::getpagesize());
}

}  // namespace

NoLargeMemory::NoLargeMemory(Of of) {
  EXPECT_EQ(::getrlimit(RLIMIT_AS, &before_), 0);
  refusals.store(0);
#if !defined(__SANITIZE_ADDRESS__)  // its blocks come from operator new
  // Memory for small allocations from now on. The last piece keeps the others, which are freed,
  // from being given back.
  if (of == Of::kMappings) {
    auto pieces = std::make_unique<std::unique_ptr<char[]>[]>(kPieces);
    for (size_t i = 0; i < kPieces; ++i) pieces[i] = std::make_unique<char[]>(kPiece);
    pin_ = std::move(pieces[kPieces - 1]);
    pieces.reset();
    const rlimit limit{AddressSpace(), before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_AS, &limit), 0);
  }
#else
  (void)of;
#endif
  none.store(true);
}

NoLargeMemory::~NoLargeMemory() {
  none.store(false);
  EXPECT_EQ(::setrlimit(RLIMIT_AS, &before_), 0);
}

int NoLargeMemory::refused() const { return refusals.load(); }

namespace {

void* Allocate(size_t size) {
  if (size >= NoLargeMemory::kFrom && none.load(std::memory_order_relaxed)) {
    refusals.fetch_add(1);
    return nullptr;
  }
  return std::malloc(size == 0 ? 1 : size);
}

}  // namespace
}  // namespace weft

// All forms but the aligned ones are replaced: under a sanitizer those left out would be the
// sanitizer's. Nothing is inlined: gcc would see new[] with free, and warn.
[[gnu::noinline]] void* operator new(size_t size) {
  void* const memory = weft::Allocate(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void* operator new[](size_t size) { return ::operator new(size); }
[[gnu::noinline]] void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return weft::Allocate(size);
}
[[gnu::noinline]] void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return weft::Allocate(size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete[](void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}
