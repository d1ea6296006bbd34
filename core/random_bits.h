// A small source of drawn numbers that a seed decides: splitmix64.
//
// Threads  value
#ifndef WEFT_CORE_RANDOM_BITS_H_
#define WEFT_CORE_RANDOM_BITS_H_

#include <cstdint>

#include "weft/core/requirements.h"

namespace weft::internal {

// The step by which a state moves with each draw.
inline constexpr uint64_t kRandomStep = 0x9E3779B97F4A7C15u;

// The next 64 bits; `state` begins as the seed.
inline uint64_t NextRandomBits(uint64_t* state) {
  uint64_t z = *state += kRandomStep;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// A number from 0 to below 1.
inline double NextRandomShare(uint64_t* state) {
  return static_cast<double>(NextRandomBits(state) >> 11) * 0x1p-53;
}

// A seed for it: of the thread's RandomSource, where it has one, else of the kernel. The only door
// to chance: what runs inside a simulation draws the same in each run.
uint64_t RandomSeed();
// The same, of the kernel always. Unlike std::random_device it neither needs a descriptor nor
// throws; where the kernel has none to give (a filter of system calls) it is the time and an
// address.
uint64_t KernelRandomSeed();

}  // namespace weft::internal

#endif  // WEFT_CORE_RANDOM_BITS_H_
