// Faults that are drawn from a seed: the same each time, as often as their mix says, and none of a
// kind whose share is nothing.
#include "weft/core/fault_script.h"

#include <gtest/gtest.h>

#include "weft/core/random_bits.h"

namespace weft::internal {
namespace {

// Compares all faults but bytes_per_second, which is never drawn.
bool Same(const FaultScript& a, const FaultScript& b) {
  return a.delay == b.delay && a.max_delay == b.max_delay && a.drop_from == b.drop_from &&
         a.cut_at == b.cut_at && a.max_write == b.max_write && a.max_read == b.max_read &&
         a.read_every == b.read_every && a.seed == b.seed;
}

TEST(ConnectionFaults, AreTheSameForTheSameSeedNumberAndMix) {
  const FaultMix mix;
  int different = 0;
  for (uint64_t number = 0; number < 100; ++number) {
    const ConnectionFaults one = ConnectionFaults::Drawn(3, number, mix);
    const ConnectionFaults again = ConnectionFaults::Drawn(3, number, mix);
    EXPECT_TRUE(Same(one.to_listener, again.to_listener));
    EXPECT_TRUE(Same(one.to_dialer, again.to_dialer));
    EXPECT_EQ(one.refused, again.refused);
    // A neighbouring seed has other draws for every connection.
    const ConnectionFaults other = ConnectionFaults::Drawn(4, number, mix);
    different += Same(one.to_listener, other.to_listener) ? 0 : 1;
  }
  EXPECT_EQ(different, 100);
}

TEST(ConnectionFaults, AShareOfNothingHasNoFaults) {
  const FaultMix none{
      .refused = 0, .cut = 0, .dropped = 0, .delayed = 0, .partial_writes = 0, .slow_reader = 0};
  for (uint64_t number = 0; number < 1'000; ++number) {
    ConnectionFaults faults = ConnectionFaults::Drawn(1, number, none);
    EXPECT_FALSE(faults.refused);
    for (FaultScript* script : {&faults.to_listener, &faults.to_dialer}) {
      script->seed = 0;  // the seed of delays, of which there are none
      EXPECT_TRUE(Same(*script, FaultScript()));
    }
  }
}

TEST(ConnectionFaults, TheirSharesAreWhatTheMixSays) {
  const FaultMix mix{.refused = 0.5, .cut = 0.2, .dropped = 0.4, .bytes = 1'000};
  int refused = 0, cut = 0, dropped = 0;
  constexpr int kConnections = 10'000;
  for (uint64_t number = 0; number < kConnections; ++number) {
    const ConnectionFaults faults = ConnectionFaults::Drawn(9, number, mix);
    refused += faults.refused;
    for (const FaultScript* script : {&faults.to_listener, &faults.to_dialer}) {
      cut += script->cut_at != kNoByte;
      dropped += script->drop_from != kNoByte;
      EXPECT_TRUE(script->cut_at == kNoByte || script->cut_at <= 1'000);
      EXPECT_TRUE(script->drop_from == kNoByte || script->drop_from < 1'000);
    }
  }
  // Cuts and drops are half as likely in each of the two directions. The seed is fixed, so the
  // counts are the same in every run.
  EXPECT_NEAR(refused, kConnections * 0.5, kConnections * 0.03);
  EXPECT_NEAR(cut, kConnections * 0.2, kConnections * 0.03);
  EXPECT_NEAR(dropped, kConnections * 0.4, kConnections * 0.03);
}

TEST(RandomBits, AreDecidedByTheirSeed) {
  uint64_t a = 5, b = 5, c = 6;
  const uint64_t first = NextRandomBits(&a);
  EXPECT_EQ(NextRandomBits(&b), first);
  EXPECT_NE(NextRandomBits(&c), first);
  EXPECT_NE(NextRandomBits(&a), first);
  for (int i = 0; i < 1'000; ++i) {
    const double share = NextRandomShare(&a);
    EXPECT_GE(share, 0);
    EXPECT_LT(share, 1);
  }
}

}  // namespace
}  // namespace weft::internal
