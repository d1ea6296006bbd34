// The network between simulated hosts, by the bytes that arrive at the ends of its connections.
// Time is a number that the test adds to; no loop runs.
#include "weft/rpc/mesh/simulated_network.h"

#include <errno.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "weft/rpc/mesh/simulated_clock.h"

namespace weft::internal {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

constexpr absl::Duration kDelay = absl::Milliseconds(1);

// Two hosts that listen, and one that only dials.
class SimulatedNetworkTest : public testing::Test {
 protected:
  SimulatedNetworkTest() {
    for (const char* host : {"a", "b"}) {
      hosts_.push_back(network_.AddHost(host));
      listeners_.push_back(*hosts_.back()->Listen(
          host, clock_, [this](std::unique_ptr<Transport> transport, std::string) {
            accepted_.push_back(std::move(transport));
          }));
    }
    hosts_.push_back(network_.AddHost("c"));
  }
  // From the host of that number; null where nobody answers.
  std::unique_ptr<Transport> Dial(size_t from, const std::string& to) {
    auto dialled = hosts_[from]->Dial(to, clock_);
    EXPECT_TRUE(dialled.ok()) << dialled.status();
    return dialled.ok() ? *std::move(dialled) : nullptr;
  }
  static void Write(Transport& transport, const std::string& bytes) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    EXPECT_EQ(transport.Write(&piece, 1), static_cast<ssize_t>(bytes.size()));
  }
  static std::string Read(Transport& transport) {
    std::string bytes(100'000, '\0');
    const iovec piece{bytes.data(), bytes.size()};
    const ssize_t n = transport.Read(&piece, 1);
    if (n == 0) return "<end>";
    if (n < 0) return errno == EAGAIN ? "<again>" : "<reset>";
    bytes.resize(static_cast<size_t>(n));
    return bytes;
  }
  void Pass(absl::Duration d) { time_ += ToNanos(d); }

  MonoTime time_{std::chrono::hours(1)};
  SimulatedClock clock_{time_};
  SimulationTrace trace_{time_, time_, 1'000};
  std::vector<std::unique_ptr<Transport>> accepted_;
  SimulatedNetwork network_{7, {.delay = kDelay, .max_delay = kDelay}, 64 << 10, trace_};
  std::vector<std::shared_ptr<InProcessNetwork>> hosts_;
  std::vector<std::unique_ptr<InProcessListener>> listeners_;
};

TEST_F(SimulatedNetworkTest, BytesArriveAfterTheDelayOfTheirDirection) {
  // The direction from a to b keeps the network's delay.
  network_.SetLinkOneWay("b", "a", {.delay = kDelay * 5, .max_delay = kDelay * 5});
  const auto dialled = Dial(0, "b");
  Write(*dialled, "there");
  Write(*accepted_[0], "back");
  Pass(kDelay);
  EXPECT_EQ(Read(*accepted_[0]), "there");
  EXPECT_EQ(Read(*dialled), "<again>");
  Pass(kDelay * 4);
  EXPECT_EQ(Read(*dialled), "back");
}

TEST_F(SimulatedNetworkTest, ALinkMayBecomeSlowUnderWay) {
  const auto dialled = Dial(0, "b");
  // The setting names the pair the other way round, and holds for the connection that is open.
  network_.SetLink("b", "a", {.delay = kDelay, .max_delay = kDelay, .bytes_per_second = 1'000'000});
  Write(*dialled, std::string(50'000, 'x'));
  Pass(kDelay * 26);
  EXPECT_EQ(Read(*accepted_[0]).size() / 1'000, 24u) << "25 ms at a million a second, in pieces";
}

TEST_F(SimulatedNetworkTest, APartitionOfOneWayHoldsThatWayAndEveryDial) {
  const auto dialled = Dial(0, "b");
  network_.PartitionOneWay("a", "b");
  EXPECT_TRUE(network_.partitioned("a", "b"));
  EXPECT_FALSE(network_.partitioned("b", "a"));
  Write(*dialled, "late");
  Write(*accepted_[0], "now");
  Pass(kDelay * 10);
  EXPECT_EQ(Read(*accepted_[0]), "<again>");
  EXPECT_EQ(Read(*dialled), "now");
  EXPECT_EQ(Dial(0, "b"), nullptr);
  EXPECT_EQ(Dial(1, "a"), nullptr);
  EXPECT_NE(Dial(2, "b"), nullptr) << "others are not concerned";
  // Healing is for both directions, whatever the order of the names.
  network_.Heal("b", "a");
  EXPECT_EQ(Read(*accepted_[0]), "late");
  EXPECT_NE(Dial(0, "b"), nullptr);
}

TEST_F(SimulatedNetworkTest, OneIsIsolatedFromAll) {
  const auto dialled = Dial(2, "b");
  network_.Isolate("b");
  EXPECT_EQ(Dial(0, "b"), nullptr);
  EXPECT_EQ(Dial(1, "a"), nullptr);
  EXPECT_NE(Dial(2, "a"), nullptr);
  Write(*dialled, "x");
  Pass(kDelay);
  EXPECT_EQ(Read(*accepted_[0]), "<again>");
  network_.HealAll();
  EXPECT_EQ(Read(*accepted_[0]), "x");
}

TEST_F(SimulatedNetworkTest, CutsByPair) {
  const auto one = Dial(0, "b"), other = Dial(1, "a"), third = Dial(2, "b");
  EXPECT_EQ(network_.Between("b", "a").size(), 2u);
  EXPECT_EQ(network_.Cut("a", "b"), 2u);
  EXPECT_EQ(Read(*one), "<reset>");
  EXPECT_EQ(Read(*other), "<reset>");
  // A connection of another pair is left alone.
  EXPECT_EQ(Read(*third), "<again>");
  EXPECT_EQ(network_.CutAll(), 1u);
  EXPECT_EQ(network_.connections().size(), 0u);
}

TEST_F(SimulatedNetworkTest, ACutIsHeardByOneEnd) {
  const auto dialled = Dial(0, "b");
  EXPECT_EQ(network_.CutHeardBy("b", "a"), 1u);
  EXPECT_EQ(Read(*accepted_[0]), "<reset>");
  EXPECT_EQ(Read(*dialled), "<again>");
  // This end takes bytes as before; nobody gets them.
  Write(*dialled, "unheard");
}

TEST_F(SimulatedNetworkTest, AHostDiesHeardOrUnheard) {
  const auto to_b = Dial(0, "b");
  // The process died: its system resets connections and refuses dials.
  network_.RemoveHost("b", Death::kReset);
  EXPECT_EQ(Read(*to_b), "<reset>");
  EXPECT_FALSE(hosts_[1]->Dial("a", clock_).ok()) << "the dead dial nobody";
  const auto to_a = Dial(2, "a");
  // The machine died: no answer of any kind comes back.
  network_.RemoveHost("a", Death::kSilence);
  EXPECT_EQ(Read(*to_a), "<again>");
  EXPECT_EQ(Dial(2, "a"), nullptr);
  listeners_.clear();
  EXPECT_EQ(Dial(2, "a"), nullptr) << "nor does anybody refuse";
  EXPECT_FALSE(hosts_[2]->Dial("b", clock_).ok());
}

TEST_F(SimulatedNetworkTest, TheTraceHasWhatHappened) {
  const auto dialled = Dial(0, "b");
  Pass(kDelay);
  Write(*dialled, "hello");
  network_.Partition("a", "b");
  network_.Partition("a", "b");  // nothing new
  (void)hosts_[2]->Dial("nowhere", clock_);
  EXPECT_THAT(trace_.lines(), Contains("0.000000000 dial a>b#0 connects"));
  EXPECT_THAT(trace_.lines(), Contains(HasSubstr("0.001000000 a>b#0 a writes 5 ")));
  EXPECT_THAT(trace_.lines(), Contains("0.001000000 partition a>b"));
  EXPECT_THAT(trace_.lines(), Contains("0.001000000 dial c>nowhere#1 refused"));
  // Two dials, one write and two directions of the partition. The second Partition adds none.
  EXPECT_EQ(trace_.size(), 5u);
  const uint64_t hash = trace_.hash();
  trace_.Mix(1);
  EXPECT_NE(trace_.hash(), hash);
}

TEST(SimulationTrace, KeepsItsLastLinesAndTheHashOfAll) {
  MonoTime time{};
  // Room for two lines and for ten. The hash must not depend on the room.
  SimulationTrace one(time, time, 2), other(time, time, 10);
  for (const char* line : {"first", "second", "third"}) {
    one.Note(line);
    other.Note(line);
  }
  EXPECT_EQ(one.Text(), "0.000000000 second\n0.000000000 third\n");
  EXPECT_EQ(one.size(), 3u);
  EXPECT_EQ(one.hash(), other.hash());
  other.Note("fourth");
  EXPECT_NE(one.hash(), other.hash());
}

}  // namespace
}  // namespace weft::internal
