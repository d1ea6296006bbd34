// Random numbers that a seed decides, and the source that a thread names as its own.
#include "weft/core/random_source.h"

#include <vector>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

TEST(RandomSource, DrawsTheSameOfTheSameSeed) {
  RandomSource one(5), same(5), other(6);
  uint64_t state = 5;
  for (int i = 0; i < 10; ++i) {
    const uint64_t drawn = one.Next();
    EXPECT_EQ(drawn, same.Next());
    EXPECT_EQ(drawn, NextRandomBits(&state));
    EXPECT_NE(drawn, other.Next());
  }
}

TEST(RandomSource, SeedsComeFromTheThreadsOwn) {
  // A twin of each source says what is to be drawn.
  RandomSource outer(1), inner(2), outer_again(1), inner_again(2);
  EXPECT_EQ(RandomSource::Here(), nullptr);
  {
    const RandomSource::Scope a(outer);
    EXPECT_EQ(RandomSeed(), outer_again.Next());
    {
      const RandomSource::Scope b(inner);
      EXPECT_EQ(RandomSeed(), inner_again.Next());
    }
    EXPECT_EQ(RandomSeed(), outer_again.Next());
  }
  EXPECT_EQ(RandomSource::Here(), nullptr);
  // Without a source they come from the kernel.
  EXPECT_NE(RandomSeed(), RandomSeed());
}

}  // namespace
}  // namespace weft::internal
