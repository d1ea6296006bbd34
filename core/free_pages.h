// The pages of malloc's free memory, and the way to give them back to the system.
//
// malloc gives back no more than the end of a heap: a small piece that lives there, or lies in a
// thread's cache, keeps all that a burst has left free below it, and what was freed last decides
// how long an end is kept.
//
//   heap    |live|········ free ········|live|···· free ····|cached|··· end ···|
//   pieces       [h|····][h|····][h|····]    [h|····][h|····]      [h|····]
//
// So the free memory is asked for, in pieces that malloc does not map by themselves; the whole
// pages of each piece are discarded, and it is freed again. A page a piece stays, with malloc's own
// words (h). It ends when more pieces in a row hold no memory than were discarded before: what
// comes then is new.
//
// Threads  one; of the memory that malloc gives to that thread
// Owns     nothing
// Ends     GiveBack takes a fraction of a millisecond where there is little to give, and 50 to 100
//          µs for each MiB that is given: it is for threads that have nothing to do
#ifndef WEFT_CORE_FREE_PAGES_H_
#define WEFT_CORE_FREE_PAGES_H_

#include <array>
#include <cstddef>

#include "weft/core/requirements.h"

namespace weft::internal {

class FreePages {
 public:
  // At once, at most.
  static constexpr size_t kMax = 256 << 20;

  // False with a sanitizer, whose malloc is another: GiveBack does nothing then.
  static bool Works();
  // Says how many bytes were given back.
  size_t GiveBack();

 private:
  // The first is less than what malloc maps by itself, with room for its own words; the others
  // serve the gaps that are left.
  static constexpr std::array<size_t, 3> kSizes = {120 << 10, 28 << 10, 12 << 10};
  // So many pieces without memory are never too many.
  static constexpr size_t kEmpty = 24;
  static constexpr size_t kMaxKnown = 1024;
  // A look that found this much is followed by another: there may be more.
  static constexpr size_t kMuch = 1 << 20;
  static constexpr int kMaxRounds = 3;

  // Adds what was given back; says how much lay in pieces that held little else.
  size_t LookOnce(size_t* given);

  // The number of pieces, by size, that may still be as they were left, without memory.
  std::array<size_t, kSizes.size()> known_{};
};

}  // namespace weft::internal

#endif  // WEFT_CORE_FREE_PAGES_H_
