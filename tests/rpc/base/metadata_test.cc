// Metadata in memory and on the wire.
#include "weft/rpc/base/metadata.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

std::string Wire(const Metadata& metadata) {
  std::string bytes(metadata.WireSize(), '\0');
  EXPECT_EQ(metadata.WriteTo(bytes.data()), bytes.data() + bytes.size());
  return bytes;
}

// One pair as it stands on the wire, whatever it holds.
std::string RawPair(const std::string& key, const std::string& value) {
  const auto k = static_cast<uint16_t>(key.size());
  const auto v = static_cast<uint32_t>(value.size());
  std::string bytes(reinterpret_cast<const char*>(&k), sizeof k);
  bytes += key;
  bytes.append(reinterpret_cast<const char*>(&v), sizeof v);
  return bytes + value;
}

TEST(Metadata, KeepsOrderAndRepetitions) {
  Metadata m;
  ASSERT_TRUE(m.Add("b", "1").ok());
  ASSERT_TRUE(m.Add("a", "2").ok());
  ASSERT_TRUE(m.Add("b", "3").ok());
  EXPECT_THAT(m.entries(), ElementsAre(Pair("b", "1"), Pair("a", "2"), Pair("b", "3")));
  EXPECT_EQ(m.Get("b"), "1");
  EXPECT_THAT(m.GetAll("b"), ElementsAre("1", "3"));
  EXPECT_EQ(m.Get("c"), std::nullopt);
  EXPECT_THAT(m.GetAll("c"), IsEmpty());
  m.Clear();
  EXPECT_TRUE(m.empty());
}

TEST(Metadata, StandsOnTheWireAsDocumented) {
  Metadata m;
  ASSERT_TRUE(m.Add("k", "vw").ok());
  ASSERT_TRUE(m.Add("a-bin", std::string("\0\xFF", 2)).ok());
  EXPECT_EQ(Wire(m), std::string("\x01\0k\x02\0\0\0vw"
                                 "\x05\0a-bin\x02\0\0\0\0\xFF",
                                 9 + 13));
  Metadata read;
  ASSERT_TRUE(read.ReadFrom(Wire(m)).ok());
  EXPECT_EQ(read.entries(), m.entries());
}

TEST(Metadata, RefusesKeysThatCannotBe) {
  for (const std::string& key :
       {std::string(), std::string("Key"), std::string("a b"), std::string("a:b"),
        std::string("\xC3\xA4"), std::string("a\0b", 3), std::string(65'536, 'a')}) {
    Metadata m;
    const absl::Status s = m.Add(key, "v");
    EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument) << key;
    EXPECT_TRUE(m.empty());
    // The message does not repeat a key of 64 KiB.
    EXPECT_LT(s.message().size(), 300u);
    // A longer key has no place in the two bytes of its length.
    if (key.size() < 65'536) {
      EXPECT_FALSE(m.ReadFrom(RawPair(key, "v")).ok()) << key;
    }
  }
  Metadata longest;
  EXPECT_TRUE(longest.Add(std::string(65'535, 'a'), "").ok());
  Metadata read;
  ASSERT_TRUE(read.ReadFrom(Wire(longest)).ok());
  EXPECT_EQ(read.entries(), longest.entries());
}

TEST(Metadata, TakesEveryCharacterThatAKeyMayHaveAndNoOther) {
  for (int c = 0; c < 256; ++c) {
    const bool allowed =
        (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    Metadata m;
    EXPECT_EQ(m.Add(std::string(1, static_cast<char>(c)), "").ok(), allowed) << c;
  }
}

TEST(Metadata, TakesPrintableAsciiAsValueAndAnythingUnderABinaryKey) {
  for (int c = 0; c < 256; ++c) {
    const std::string value(1, static_cast<char>(c));
    Metadata m;
    EXPECT_EQ(m.Add("key", value).ok(), c >= 0x20 && c <= 0x7e) << c;
    EXPECT_TRUE(m.Add("key-bin", value).ok()) << c;
  }
  Metadata m;
  EXPECT_THAT(m.Add("key", "\n").message(), HasSubstr("\"key\""));
  // "-bin" alone ends in -bin but names nothing that is binary.
  EXPECT_FALSE(m.Add("-bin", "\n").ok());
}

TEST(Metadata, KeepsTheReservedKeysToItself) {
  Metadata m;
  EXPECT_THAT(m.Add("weft-trace", "1").message(), HasSubstr("reserved"));
  EXPECT_TRUE(m.Add("weft", "1").ok());
  // From the wire they come: a later version may send them.
  Metadata read;
  EXPECT_TRUE(read.ReadFrom(RawPair("weft-trace", "1")).ok());
  EXPECT_EQ(read.Get("weft-trace"), "1");
}

TEST(Metadata, IsRefusedTruncatedAtEveryByte) {
  Metadata m;
  ASSERT_TRUE(m.Add("first", "value").ok());
  ASSERT_TRUE(m.Add("second-bin", std::string(300, '\0')).ok());
  const std::string bytes = Wire(m);
  // Six bytes of lengths, key and value.
  const size_t first_pair = 6 + 5 + 5;
  for (size_t n = 0; n <= bytes.size(); ++n) {
    // On the heap and exactly so long: a look beyond the end is seen.
    const std::vector<char> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    Metadata read;
    const absl::Status s = read.ReadFrom({cut.data(), cut.size()});
    EXPECT_EQ(s.ok(), n == 0 || n == first_pair || n == bytes.size()) << n;
    EXPECT_EQ(read.entries().size(), n == bytes.size() ? 2u : n >= first_pair ? 1u : 0u) << n;
  }
}

TEST(Metadata, IsRefusedWithLengthsBeyondItsEnd) {
  for (const std::string& bytes :
       {std::string("\xFF\xFFk", 3), std::string("\x01\0k\xFF\xFF\xFF\xFFv", 8),
        std::string("\x01\0k\x02\0\0\0v", 8), std::string("\0\0\0\0\0\0", 6)}) {
    Metadata read;
    EXPECT_EQ(read.ReadFrom(bytes).code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace weft::internal
