#include "bench/own_bytes.h"

#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace weft::bench {
namespace {

std::atomic<bool> counted{false};
std::atomic<int64_t> own_bytes{0};

void* Count(void* p) {
  // operator new must not return null, and without memory there is nothing to measure.
  if (p == nullptr) std::abort();
  if (counted.load(std::memory_order_relaxed)) {
    // The size as malloc has rounded it: Free finds the same.
    own_bytes.fetch_add(static_cast<int64_t>(malloc_usable_size(p)), std::memory_order_relaxed);
  }
  return p;
}

void Free(void* p) {
  if (counted.load(std::memory_order_relaxed)) {
    own_bytes.fetch_sub(static_cast<int64_t>(malloc_usable_size(p)), std::memory_order_relaxed);
  }
  std::free(p);
}

}  // namespace

void CountOwnBytes() { counted = true; }
int64_t OwnBytes() { return own_bytes.load(std::memory_order_relaxed); }

}  // namespace weft::bench

// These replace the operators of the whole program, the libraries included.
void* operator new(std::size_t n) { return weft::bench::Count(std::malloc(n)); }
void* operator new(std::size_t n, std::align_val_t alignment) {
  const auto step = static_cast<std::size_t>(alignment);
  // aligned_alloc wants a multiple of the alignment.
  return weft::bench::Count(std::aligned_alloc(step, (n + step - 1) / step * step));
}
void operator delete(void* p) noexcept { weft::bench::Free(p); }
void operator delete(void* p, std::size_t) noexcept { weft::bench::Free(p); }
void operator delete(void* p, std::align_val_t) noexcept { weft::bench::Free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { weft::bench::Free(p); }
