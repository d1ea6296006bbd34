// Drawn numbers for many threads, which a seed decides: splitmix64 over an atomic counter.
//
// A Runtime has one, which its threads name as theirs (Scope): RandomSeed draws from it there. So a
// runtime with a seed and without threads draws the same numbers in each run.
//
// Threads  any
#ifndef WEFT_CORE_RANDOM_SOURCE_H_
#define WEFT_CORE_RANDOM_SOURCE_H_

#include <atomic>
#include <cstdint>

#include "weft/core/random_bits.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class WEFT_ANY_THREAD RandomSource {
 public:
  explicit RandomSource(uint64_t seed) : state_(seed) {}
  RandomSource(const RandomSource&) = delete;
  RandomSource& operator=(const RandomSource&) = delete;

  uint64_t Next() {
    uint64_t state = state_.fetch_add(kRandomStep, std::memory_order_relaxed);
    return NextRandomBits(&state);
  }

  // The source of this thread, or null.
  static RandomSource* Here();

  // Makes it this thread's.
  class Scope {
   public:
    // `source` outlives it.
    explicit Scope(RandomSource& source);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    RandomSource* const outer_;
  };

 private:
  std::atomic<uint64_t> state_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_RANDOM_SOURCE_H_
