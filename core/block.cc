#include "weft/core/block.h"

#include <sys/mman.h>

#include <new>

namespace weft::internal {
namespace {

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_ADDRESS_SANITIZER 1
#endif
#endif

#if defined(WEFT_ADDRESS_SANITIZER)
constexpr bool kMaps = false;  // what is written beyond a block is to be seen
#else
constexpr bool kMaps = true;
#endif

constexpr size_t kPage = 4 << 10;
constexpr size_t kHugePage = 2 << 20;
// Larger sizes are refused before any arithmetic, so RoundUp and the header's size cannot overflow.
constexpr size_t kMax = SIZE_MAX / 4;

size_t RoundUp(size_t n, size_t to) { return (n + to - 1) / to * to; }

// Null: there is none.
char* MapPages(size_t size) {
  void* const memory =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<char*>(memory);
}

// At a multiple of kHugePage; what lies before and behind is given back.
char* MapHugePages(size_t size) {
  // A mapping begins at a page. So one that is larger by this much contains an aligned range of
  // `size` bytes wherever it begins.
  const size_t spare = kHugePage - kPage;
  char* const memory = MapPages(size + spare);
  if (memory == nullptr) return nullptr;
  const size_t before =
      RoundUp(reinterpret_cast<uintptr_t>(memory), kHugePage) - reinterpret_cast<uintptr_t>(memory);
  if (before > 0) ::munmap(memory, before);
  if (before < spare) ::munmap(memory + before + size, spare - before);
  ::madvise(memory + before, size, MADV_HUGEPAGE);  // where the system allows
  return memory + before;
}

}  // namespace

Block* Block::TryNew(size_t capacity, BlockHome* home) {
  if (capacity > kMax) return nullptr;
  const size_t size = sizeof(Block) + capacity;
  void* memory;
  // Small blocks throw when memory is out, as all small allocations of the library do. Only large
  // ones are worth an error path of their own.
  if (size < kMapFrom) {
    memory = ::operator new(size);
  } else if (!kMaps) {
    memory = ::operator new(size, std::nothrow);
  } else if (size < kHugeFrom) {
    memory = MapPages(RoundUp(size, kPage));
  } else {
    memory = MapHugePages(RoundUp(size, kPage));
  }
  return memory == nullptr ? nullptr : new (memory) Block(capacity, home);
}

Block* Block::New(size_t capacity, BlockHome* home) {
  Block* const block = TryNew(capacity, home);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void Block::Free(Block* block) {
  const size_t size = block->footprint();
  block->~Block();
  // Decides as TryNew did, from the same size: a block remembers only its capacity.
  if (size < kMapFrom || !kMaps) {
    ::operator delete(block);
  } else {
    ::munmap(block, RoundUp(size, kPage));
  }
}

}  // namespace weft::internal
