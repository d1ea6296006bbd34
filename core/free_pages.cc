#include "weft/core/free_pages.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <new>
#include <utility>

namespace weft::internal {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WEFT_FOREIGN_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WEFT_FOREIGN_MALLOC 1
#endif
#endif

#if defined(WEFT_FOREIGN_MALLOC)
constexpr bool kWorks = false;
#else
constexpr bool kWorks = true;
#endif

constexpr uintptr_t kPage = 4 << 10;
constexpr size_t kMaxPages = 32;  // of a piece
// malloc writes its own words at the beginning of a free piece, within so many bytes. They may not
// be discarded.
constexpr size_t kItsOwn = 64;

// The pieces that are held, each with the address of the next.
class Held {
 public:
  ~Held() {
    while (first_ != nullptr)
      ::operator delete(std::exchange(first_, *static_cast<void**>(first_)));
  }
  void Add(void* piece) {
    *static_cast<void**>(piece) = first_;
    first_ = piece;
  }

 private:
  void* first_ = nullptr;
};

struct Discarded {
  size_t bytes = 0;   // of whole pages that held memory, and do not any more
  bool most = false;  // of the piece: it is more than what malloc wrote there since the last time
};

Discarded Discard(void* piece, size_t size) {
  const auto at = reinterpret_cast<uintptr_t>(piece);
  const uintptr_t begin = (at + kItsOwn + kPage - 1) / kPage * kPage;
  const uintptr_t end = (at + size) / kPage * kPage;
  if (begin >= end) return {};
  unsigned char pages[kMaxPages];
  auto* const memory = reinterpret_cast<void*>(begin);
  const size_t count = (end - begin) / kPage;
  // Without the look, pages that are not in memory would count as given back, and the search would
  // go on to kMax.
  if (::mincore(memory, end - begin, pages) != 0) return {};
  const auto held = static_cast<size_t>(
      std::count_if(pages, pages + count, [](unsigned char page) { return (page & 1) != 0; }));
  if (held == 0 || ::madvise(memory, end - begin, MADV_DONTNEED) != 0) return {};
  return {held * kPage, held * 2 > count};
}

}  // namespace

bool FreePages::Works() { return kWorks; }

size_t FreePages::GiveBack() {
  size_t given = 0;
  if (!Works()) return given;
  for (int round = 0; round < kMaxRounds; ++round) {
    const size_t found = LookOnce(&given);
    if (found >= kMuch) continue;
    if (round == 0 && found == 0) {  // what was left without memory may be in use again
      for (size_t& known : known_) known /= 2;
    }
    break;
  }
  return given;
}

size_t FreePages::LookOnce(size_t* given) {
  static_assert(kSizes[0] <= kMaxPages * kPage);
  size_t of_full = 0;
  Held held;  // all sizes: a smaller piece would come out of a larger one
  for (size_t i = 0; i < kSizes.size(); ++i) {
    size_t full = 0;
    // malloc hands out pieces that an earlier look has emptied first. `known_` of them say nothing;
    // more in a row mean that only new memory is left.
    for (size_t empty = 0; empty < kEmpty + known_[i] && *given < kMax;) {
      void* const piece = ::operator new(kSizes[i], std::nothrow);
      if (piece == nullptr) return 0;
      held.Add(piece);
      const Discarded discarded = Discard(piece, kSizes[i]);
      *given += discarded.bytes;
      full += discarded.most ? 1 : 0;
      empty = discarded.most ? 0 : empty + 1;
    }
    of_full += full * kSizes[i];
    known_[i] = std::min(known_[i] + full, kMaxKnown);
  }
  return of_full;
}

}  // namespace weft::internal
