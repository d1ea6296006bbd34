// The gate in front of inflation: ratio, codecs and bytes at once.
#include "weft/rpc/base/inflate_gate.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protos/echo.pb.h"
#include "weft/rpc/base/compression.h"
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/base/received_message.h"

namespace weft::internal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr Compression kCodecs[] = {Compression::kGzip, Compression::kZstd};
constexpr size_t kMiB = size_t{1} << 20;

std::string Said(const absl::Status& s) { return std::string(s.message()); }

TEST(InflateGate, TakesWhatIsNotTooDense) {
  InflateGate gate({.max_ratio = 100, .min_ratio_bytes = 1'000}, "server");
  for (const Compression codec : kCodecs) {
    EXPECT_TRUE(gate.Check(codec, 1, 1'000).ok()) << "small ones may be as dense as they like";
    // Just the ratio passes; one byte more does not.
    EXPECT_TRUE(gate.Check(codec, 11, 1'100).ok());
    EXPECT_TRUE(gate.Check(codec, 50'000, 100'000).ok());
    const absl::Status refused = gate.Check(codec, 11, 1'101);
    EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(Said(refused), AllOf(HasSubstr("11 bytes declared to inflate to 1101"),
                                     HasSubstr("the limit is 100 times as many"),
                                     HasSubstr("inflate.max_ratio of the server")));
    EXPECT_FALSE(gate.Check(codec, 0, 5'000).ok());
    // The product of ratio and size must not overflow.
    EXPECT_FALSE(gate.Check(codec, 1, SIZE_MAX).ok());
  }
  EXPECT_TRUE(gate.Check(Compression::kNone, 1, 100'000).ok());
}

TEST(InflateGate, WithoutARatioEverythingGoesThatItsCodecCanDo) {
  InflateGate gate({.max_ratio = 0}, "server");
  // More than 32,000 bytes out of one: far beyond the ratio of 1,000 that holds by default.
  EXPECT_TRUE(gate.Check(Compression::kZstd, 2'000, 64 * kMiB).ok());
}

TEST(InflateGate, RefusesACodecThatIsNotTaken) {
  InflateGate gate({.gzip = false}, "channel");
  const absl::Status refused = gate.Check(Compression::kGzip, 100, 200);
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(Said(refused), HasSubstr("gzip are not taken (inflate.gzip of the channel)"));
  EXPECT_TRUE(gate.Check(Compression::kZstd, 100, 200).ok());
  EXPECT_FALSE(InflateGate({.zstd = false}, "server").Check(Compression::kZstd, 100, 200).ok());
}

TEST(InflateGate, CountsWhatIsBeingInflated) {
  InflateGate gate({.max_inflating_bytes = 1'000}, "server");
  InflateGate::Entry first, second, third;
  EXPECT_TRUE(gate.TryEnter(Compression::kGzip, 100, 600, &first).ok());
  EXPECT_TRUE(gate.TryEnter(Compression::kGzip, 100, 400, &second).ok());
  const absl::Status refused = gate.TryEnter(Compression::kZstd, 100, 1, &third);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Said(refused), AllOf(HasSubstr("1000 bytes are being inflated, the limit is 1000"),
                                   HasSubstr("inflate.max_inflating_bytes of the server")));
  first = InflateGate::Entry();
  EXPECT_EQ(gate.inflating(), 400u);
  EXPECT_TRUE(gate.TryEnter(Compression::kZstd, 100, 600, &third).ok());
  // The second entry's own 400 bytes leave, and the third's go over without being counted twice.
  second = std::move(third);
  EXPECT_EQ(gate.inflating(), 600u);
  second = InflateGate::Entry();
  EXPECT_EQ(gate.inflating(), 0u);
}

TEST(InflateGate, WithoutALimitAnyNumberOfBytesIsInflatedAtOnce) {
  InflateGate gate({.max_inflating_bytes = 0}, "server");
  InflateGate::Entry entry;
  EXPECT_TRUE(gate.TryEnter(Compression::kGzip, 100, size_t{1} << 40, &entry).ok());
  EXPECT_EQ(gate.inflating(), size_t{1} << 40);
}

// A message as it comes from the wire, `size` zeros long.
class Compressed {
 public:
  Compressed(Compression codec, size_t size) {
    test::EchoRequest request;
    request.set_payload(std::string(size, '\0'));
    const std::string whole = request.SerializeAsString();
    const MessagePiece piece{BlockRef(), whole.data(), whole.size()};
    std::vector<MessagePiece> pieces;
    EXPECT_TRUE(TryCompress(codec, {&piece, 1}, &pieces));
    for (const MessagePiece& each : pieces) bytes.append(each.data, each.size);
    message.data = bytes.data();
    message.size = bytes.size();
    message.codec = codec;
    message.inflated_size = static_cast<uint32_t>(whole.size());
  }
  std::string bytes;
  ReceivedMessage message;
};

TEST(InflateGate, ABombIsRefusedBeforeAnythingIsInflated) {
  for (const Compression codec : kCodecs) {
    InflateGate gate({}, "server");
    const Compressed bomb(codec, 8 * kMiB);
    test::EchoRequest parsed;
    EXPECT_EQ(bomb.message.Parse({64 * kMiB, "channel"}, &parsed, &gate).code(),
              absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(parsed.payload().size(), 0u);
    EXPECT_EQ(gate.inflating(), 0u);
    // Below the floor of the ratio it is no bomb.
    const Compressed small(codec, kMiB / 2);
    EXPECT_TRUE(small.message.Parse({64 * kMiB, "channel"}, &parsed, &gate).ok());
    EXPECT_EQ(parsed.payload().size(), kMiB / 2);
    EXPECT_EQ(gate.inflating(), 0u);
  }
}

// A message that declares less than it becomes passes the check of the ratio, and is stopped where
// it becomes more.
TEST(InflateGate, ABombThatLiesIsStoppedAtWhatItDeclared) {
  for (const Compression codec : kCodecs) {
    InflateGate gate({}, "server");
    Compressed bomb(codec, 8 * kMiB);
    bomb.message.inflated_size = 1'000;
    test::EchoRequest parsed;
    EXPECT_EQ(bomb.message.Parse({64 * kMiB, "channel"}, &parsed, &gate).code(),
              absl::StatusCode::kInternal);
    EXPECT_EQ(gate.inflating(), 0u);
  }
}

TEST(InflateGate, WhatIsBeyondTheBytesAtOnceIsRefused) {
  for (const Compression codec : kCodecs) {
    InflateGate gate({.max_inflating_bytes = kMiB}, "server");
    const Compressed message(codec, kMiB / 2);
    InflateGate::Entry others;
    // Other messages take the whole limit.
    ASSERT_TRUE(gate.TryEnter(codec, kMiB, kMiB, &others).ok());
    test::EchoRequest parsed;
    EXPECT_EQ(message.message.Parse({64 * kMiB, "channel"}, &parsed, &gate).code(),
              absl::StatusCode::kResourceExhausted);
    others = InflateGate::Entry();
    EXPECT_TRUE(message.message.Parse({64 * kMiB, "channel"}, &parsed, &gate).ok());
  }
}

}  // namespace
}  // namespace weft::internal
