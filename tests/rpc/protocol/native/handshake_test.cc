// The Hello of this side, and what is made of a peer's, field by field: functions without a
// session.
#include "weft/rpc/protocol/native/handshake.h"

#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "weft/rpc/protocol/native/frame_format.h"
#include "weft/rpc/protocol/native/hello.pb.h"

namespace weft::internal::native {
namespace {

using ::testing::HasSubstr;

// A Hello that is taken. Each test spoils one field of it.
Hello GoodHello() {
  Hello hello;
  EXPECT_TRUE(hello.ParseFromString(Handshake::MakeHello(SessionLimits(), {})));
  return hello;
}

absl::StatusOr<PeerHello> Read(const Hello& hello, const SessionLimits& own = {}) {
  return Handshake::ReadHello(hello.SerializeAsString(), own);
}

TEST(Handshake, SaysWhatTheLimitsSay) {
  SessionLimits limits;
  limits.max_frame_bytes = 100'000;
  // Every limit differs from its default and from the others, so that mixed-up fields are seen.
  limits.max_message_bytes = size_t{5} << 30;
  limits.max_metadata_bytes = 1'000;
  limits.max_calls = 7;
  limits.max_methods = 9;
  limits.heartbeat_interval = absl::Seconds(3);
  limits.heartbeat_misses = 4;
  Hello hello;
  ASSERT_TRUE(
      hello.ParseFromString(Handshake::MakeHello(limits, {.token = std::string("to\0ken", 6)})));
  EXPECT_EQ(hello.lowest_version(), kWireVersion);
  EXPECT_EQ(hello.highest_version(), kWireVersion);
  EXPECT_EQ(hello.max_frame_bytes(), 100'000u);
  EXPECT_EQ(hello.max_message_bytes(), uint64_t{5} << 30);
  EXPECT_EQ(hello.max_metadata_bytes(), 1'000u);
  EXPECT_EQ(hello.max_calls(), 7u);
  EXPECT_EQ(hello.max_methods(), 9u);
  EXPECT_EQ(hello.heartbeat_ms(), 3'000u);
  EXPECT_EQ(hello.heartbeat_misses(), 4u);
  EXPECT_EQ(hello.auth_token(), std::string("to\0ken", 6));
}

TEST(Handshake, NeverAnnouncesMoreOrLessThanTheWireKnows) {
  SessionLimits limits;
  limits.max_frame_bytes = size_t{1} << 40;
  limits.max_metadata_bytes = size_t{1} << 32;
  limits.max_calls = size_t{1} << 32;
  limits.max_methods = size_t{1} << 32;
  limits.heartbeat_misses = -1;
  // Less than the wire's millisecond must not become 0, which would mean none.
  limits.heartbeat_interval = absl::Microseconds(1);
  Hello hello;
  ASSERT_TRUE(hello.ParseFromString(Handshake::MakeHello(limits, {})));
  EXPECT_EQ(hello.max_frame_bytes(), kLargestFrame);
  EXPECT_EQ(hello.max_metadata_bytes(), kMaxMetadata);
  EXPECT_EQ(hello.max_calls(), UINT32_MAX);
  EXPECT_EQ(hello.max_methods(), 65'535u);
  EXPECT_EQ(hello.heartbeat_misses(), 1u);
  EXPECT_EQ(hello.heartbeat_ms(), 1u);
  limits.max_frame_bytes = 1;
  for (const absl::Duration none : {absl::ZeroDuration(), absl::Seconds(-1)}) {
    limits.heartbeat_interval = none;
    ASSERT_TRUE(hello.ParseFromString(Handshake::MakeHello(limits, {})));
    EXPECT_EQ(hello.heartbeat_ms(), 0u);
    EXPECT_EQ(hello.max_frame_bytes(), kMinFrame);
  }
  limits.heartbeat_interval = absl::InfiniteDuration();
  ASSERT_TRUE(hello.ParseFromString(Handshake::MakeHello(limits, {})));
  // A day is the longest that a side announces.
  EXPECT_EQ(hello.heartbeat_ms(), 24u * 3'600 * 1'000);
}

TEST(Handshake, TakesWhatItSays) {
  const absl::StatusOr<PeerHello> agreement = Handshake::ReadHello(
      Handshake::MakeHello(SessionLimits(), {.token = "token"}), SessionLimits());
  ASSERT_TRUE(agreement.ok()) << agreement.status();
  EXPECT_EQ(agreement->version, kWireVersion);
  // The defaults of SessionLimits, as a peer with the same ones agrees on them.
  EXPECT_EQ(agreement->max_frame, size_t{64} << 10);
  EXPECT_EQ(agreement->max_message, size_t{64} << 20);
  EXPECT_EQ(agreement->max_metadata, size_t{16} << 10);
  EXPECT_EQ(agreement->max_calls, 10'000u);
  EXPECT_EQ(agreement->max_methods, 4'096u);
  EXPECT_EQ(agreement->heartbeat, Nanos(std::chrono::seconds(10)));
  EXPECT_EQ(agreement->facts.token, "token");
  EXPECT_TRUE(agreement->attachments && agreement->gzip && agreement->zstd);
  EXPECT_TRUE(agreement->initial_metadata);
}

TEST(Handshake, TellsFeaturesFromOneAnother) {
  Hello hello = GoodHello();
  // Each bit alone switches on its own feature and no other.
  for (int bit = 0; bit < 7; ++bit) {
    hello.set_features(uint64_t{1} << bit);
    const absl::StatusOr<PeerHello> agreement = Read(hello);
    ASSERT_TRUE(agreement.ok()) << agreement.status();
    EXPECT_EQ(agreement->stream_window > 0, bit == 0) << bit;
    EXPECT_EQ(agreement->attachments, bit == 1) << bit;
    EXPECT_EQ(agreement->gzip, bit == 2) << bit;
    EXPECT_EQ(agreement->zstd, bit == 3) << bit;
    EXPECT_EQ(agreement->initial_metadata, bit == 4) << bit;
    EXPECT_EQ(agreement->stream_attachments, bit == 5) << bit;
    EXPECT_EQ(agreement->clock, bit == 6) << bit;
  }
}

TEST(Handshake, AsksForTheClockOfThosePeersThatAreNodes) {
  Hello hello;
  ASSERT_TRUE(hello.ParseFromString(Handshake::MakeHello(SessionLimits(), {}, kClock)));
  EXPECT_EQ(hello.features(), GoodHello().features() | kClock);
  EXPECT_EQ(GoodHello().features() & kClock, 0u);
}

TEST(Handshake, UsesTheHighestVersionThatBothSpeak) {
  struct Row {
    uint32_t lowest, highest, agreed;  // 0: none
  };
  // Ranges with version 1 in them, then ranges without it, one of them upside down.
  for (const Row& row : {Row{1, 1, 1}, Row{0, 1, 1}, Row{1, 2, 1}, Row{1, UINT32_MAX, 1},
                         Row{0, 0, 0}, Row{2, 2, 0}, Row{2, 1, 0}, Row{2, UINT32_MAX, 0}}) {
    Hello hello = GoodHello();
    hello.set_lowest_version(row.lowest);
    hello.set_highest_version(row.highest);
    const absl::StatusOr<PeerHello> agreement = Read(hello);
    if (row.agreed != 0) {
      ASSERT_TRUE(agreement.ok()) << agreement.status();
      EXPECT_EQ(agreement->version, row.agreed);
      continue;
    }
    EXPECT_EQ(agreement.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(agreement.status().message(),
                HasSubstr("versions " + std::to_string(row.lowest) + " to " +
                          std::to_string(row.highest) + ", this side only 1"));
  }
}

TEST(Handshake, IgnoresUnknownFeaturesButNotRequiredOnes) {
  Hello hello = GoodHello();
  // A later version has features that this one does not know.
  hello.set_features(UINT64_MAX);
  EXPECT_TRUE(Read(hello).ok());
  // This version knows no required feature, so each of the 64 has to be refused.
  for (int bit = 0; bit < 64; ++bit) {
    hello.set_required_features(uint64_t{1} << bit);
    EXPECT_EQ(Read(hello).status().code(), absl::StatusCode::kFailedPrecondition) << bit;
  }
  hello.set_required_features(0x10);
  EXPECT_THAT(Read(hello).status().message(), HasSubstr("0x10"));
}

TEST(Handshake, IgnoresFieldsOfLaterVersions) {
  // A later version may add fields. An older peer skips them.
  const std::string more = GoodHello().SerializeAsString() +
                           "\xF8\x3F\x05"      // 1023: a number
                           "\xFA\x3F\x03new";  // 1023: bytes
  EXPECT_TRUE(Handshake::ReadHello(more, SessionLimits()).ok());
}

TEST(Handshake, RefusesBytesThatAreNoHello) {
  const std::string good =
      Handshake::MakeHello(SessionLimits(), {.token = "a token of some length"});
  // A tag that never ends.
  EXPECT_EQ(Handshake::ReadHello("\xFF\xFF\xFF", SessionLimits()).status().code(),
            absl::StatusCode::kInvalidArgument);
  for (size_t n = 0; n < good.size(); ++n) {
    // Of exactly this size on the heap: a look beyond the end is seen by the address sanitizer.
    const std::vector<char> cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n));
    const absl::StatusOr<PeerHello> agreement =
        Handshake::ReadHello({cut.data(), cut.size()}, SessionLimits());
    // A cut between two fields is a Hello without the later ones: never more than was said.
    EXPECT_TRUE(!agreement.ok() || agreement->max_message <= size_t{64} << 20) << n;
  }
}

TEST(Handshake, RefusesFrameLimitsOutOfRange) {
  struct Row {
    uint32_t max_frame;
    bool ok;
  };
  for (const Row& row : {Row{0, false}, Row{uint32_t(kMinFrame) - 1, false},
                         Row{uint32_t(kMinFrame), true}, Row{uint32_t(kLargestFrame), true},
                         Row{uint32_t(kLargestFrame) + 1, false}, Row{UINT32_MAX, false}}) {
    Hello hello = GoodHello();
    hello.set_max_frame_bytes(row.max_frame);
    const absl::StatusOr<PeerHello> agreement = Read(hello);
    EXPECT_EQ(agreement.ok(), row.ok) << row.max_frame;
    if (!row.ok) {
      EXPECT_EQ(agreement.status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(agreement.status().message(), HasSubstr("max_frame_bytes"));
    }
  }
}

TEST(Handshake, CarriesWhatASideSaysOfItself) {
  HelloFacts own;
  own.node = "a";
  own.cluster = "east";
  own.wanted_node = "b";
  own.incarnation = 7;
  own.dial_number = 9;
  own.last_dial = UINT64_MAX;
  own.slot = 1;
  own.slots = 2;
  const absl::StatusOr<PeerHello> hello =
      Handshake::ReadHello(Handshake::MakeHello(SessionLimits(), own), SessionLimits());
  ASSERT_TRUE(hello.ok()) << hello.status();
  EXPECT_EQ(hello->facts.node, "a");
  EXPECT_EQ(hello->facts.cluster, "east");
  EXPECT_EQ(hello->facts.wanted_node, "b");
  EXPECT_EQ(hello->facts.incarnation, 7u);
  EXPECT_EQ(hello->facts.dial_number, 9u);
  EXPECT_EQ(hello->facts.last_dial, UINT64_MAX);
  EXPECT_EQ(hello->facts.slot, 1u);
  EXPECT_EQ(hello->facts.slots, 2u);
  EXPECT_FALSE(hello->refused);
}

TEST(Handshake, TellsARefusedPeerNothingButItsLimits) {
  const absl::StatusOr<PeerHello> hello =
      Handshake::ReadHello(Handshake::MakeRefusal(SessionLimits()), SessionLimits());
  ASSERT_TRUE(hello.ok()) << hello.status();
  EXPECT_TRUE(hello->refused);
  // GoodHello is made without facts, so it holds this side's limits alone.
  Hello same = GoodHello();
  same.set_refused(true);
  EXPECT_EQ(Handshake::MakeRefusal(SessionLimits()), same.SerializeAsString());
}

TEST(Handshake, RefusesNamesThatCannotBe) {
  struct Row {
    std::string name;
    bool ok;
  };
  std::vector<Row> rows = {{"", true},
                           {" ~", true},
                           // A name need not be text in UTF-8.
                           {"köln \xFF\x80", true},
                           {std::string(255, 'x'), true},
                           {std::string(256, 'x'), false},
                           {std::string(1, '\0'), false},
                           {"a\x7F", false}};
  for (char c = 0; c < 0x20; ++c) rows.push_back({std::string(1, c) + "b", false});
  for (const Row& row : rows) {
    // Each name alone: a check that was left out for one of them is seen.
    for (const int field : {0, 1, 2}) {
      Hello hello = GoodHello();
      if (field == 0) hello.set_node(row.name);
      if (field == 1) hello.set_cluster(row.name);
      if (field == 2) hello.set_wanted_node(row.name);
      const absl::Status status = Read(hello).status();
      EXPECT_EQ(status.ok(), row.ok) << field << " " << row.name.size();
      if (row.ok) continue;
      EXPECT_EQ(status, absl::InvalidArgumentError("a name in its Hello is longer than 255 bytes "
                                                   "or has control characters"));
    }
  }
}

TEST(Handshake, HoldsLargeLimitsToWhatThisVersionKnows) {
  Hello hello = GoodHello();
  hello.set_max_message_bytes(UINT64_MAX);
  hello.set_max_metadata_bytes(UINT32_MAX);
  hello.set_max_methods(UINT32_MAX);
  const absl::StatusOr<PeerHello> agreement = Read(hello);
  ASSERT_TRUE(agreement.ok());
  // The largest message that protobuf can serialize.
  EXPECT_EQ(agreement->max_message, (size_t{1} << 31) - 1);
  EXPECT_EQ(agreement->max_metadata, kMaxMetadata);
  EXPECT_EQ(agreement->max_methods, 65'535u);
}

TEST(Handshake, UsesTheLongerHeartbeatAndNoneIsTheLongest) {
  const auto agreed = [](absl::Duration own, uint32_t theirs) {
    SessionLimits limits;
    limits.heartbeat_interval = own;
    Hello hello = GoodHello();
    hello.set_heartbeat_ms(theirs);
    return ToAbsl(Read(hello, limits)->heartbeat);
  };
  EXPECT_EQ(agreed(absl::Seconds(2), 5'000), absl::Seconds(5));
  EXPECT_EQ(agreed(absl::Seconds(7), 5'000), absl::Seconds(7));
  EXPECT_EQ(agreed(absl::ZeroDuration(), 5'000), absl::ZeroDuration());
  EXPECT_EQ(agreed(absl::Seconds(7), 0), absl::ZeroDuration());
  // The bound of 24 hours is for a side's own setting, not for its peer's.
  EXPECT_EQ(agreed(absl::Seconds(7), UINT32_MAX), absl::Milliseconds(UINT32_MAX));
}

}  // namespace
}  // namespace weft::internal::native
