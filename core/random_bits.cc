#include "weft/core/random_bits.h"

#include <sys/random.h>

#include <chrono>

#include "weft/core/random_source.h"

namespace weft::internal {

uint64_t RandomSeed() {
  RandomSource* const here = RandomSource::Here();
  return here != nullptr ? here->Next() : KernelRandomSeed();
}

uint64_t KernelRandomSeed() {
  uint64_t seed = 0;
  if (::getrandom(&seed, sizeof seed, GRND_NONBLOCK) == static_cast<ssize_t>(sizeof seed)) {
    return seed;
  }
  seed = static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  return seed ^ reinterpret_cast<uintptr_t>(&seed);
}

}  // namespace weft::internal
