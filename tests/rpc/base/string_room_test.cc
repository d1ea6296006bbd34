// Room in huge pages for large strings. The kernel tells in smaps which mappings asked for them.
#include "weft/rpc/base/string_room.h"

#include <unistd.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/type.pb.h>
#include <gtest/gtest.h>

#include "tests/protos/echo.pb.h"
#include "weft/rpc/base/message_codec.h"

namespace weft::internal {
namespace {

using test::EchoRequest;

constexpr size_t kLarge = StringRoom::kFrom + 12'345;

// True if huge pages were asked for in the middle of the string.
bool AsksForHugePages(const std::string& string) {
  const auto middle = reinterpret_cast<uintptr_t>(string.data()) + string.size() / 2;
  std::ifstream maps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    uint64_t from, to;
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " ", &from, &to) == 2) {
      here = from <= middle && middle < to;
    } else if (here && line.rfind("VmFlags:", 0) == 0) {
      // Asking is enough: the kernel may have no such page free.
      return line.find(" hg") != std::string::npos;
    }
  }
  return false;
}

bool KernelHasHugePages() { return ::access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0; }

// Parses it as weft does and as protobuf does; what weft made of it is in `out`.
template <typename Message>
void ParseBoth(const std::string& bytes, Message* out) {
  ASSERT_EQ(MessageCodec::Parse(bytes.data(), bytes.size(), out), MessageCodec::Parsed::kDone);
  Message expected;
  ASSERT_TRUE(expected.ParseFromString(bytes));
  EXPECT_TRUE(out->SerializeAsString() == expected.SerializeAsString());
}

TEST(StringRoom, IsInHugePages) {
  EchoRequest message;
  message.set_number(7);
  message.set_text("small");
  message.set_payload(std::string(kLarge, 'p'));
  EchoRequest out;
  ParseBoth(message.SerializeAsString(), &out);
  // Just the size: a string that grew while it was parsed would have more.
  EXPECT_EQ(out.payload().capacity(), kLarge);
  EXPECT_EQ(AsksForHugePages(out.payload()), KernelHasHugePages());
}

TEST(StringRoom, IsMadeInsideMessagesAndForOneOfSeveralFields) {
  google::protobuf::Option option;
  option.set_name("nested");
  option.mutable_value()->set_value(std::string(kLarge, 'v'));
  google::protobuf::Option out;
  ParseBoth(option.SerializeAsString(), &out);
  EXPECT_EQ(AsksForHugePages(out.value().value()), KernelHasHugePages());

  google::protobuf::Value value;
  value.set_string_value(std::string(kLarge, 'v'));
  google::protobuf::Value one;
  ParseBoth(value.SerializeAsString(), &one);
  EXPECT_EQ(AsksForHugePages(one.string_value()), KernelHasHugePages());
  // The last one counts, as without room.
  google::protobuf::Value number;
  number.set_number_value(3);
  ParseBoth(value.SerializeAsString() + number.SerializeAsString(), &one);
  EXPECT_EQ(one.kind_case(), google::protobuf::Value::kNumberValue);
}

TEST(StringRoom, IsNotMadeTwiceInAMessageThatIsUsedAgain) {
  EchoRequest message;
  message.set_payload(std::string(kLarge, 'p'));
  const std::string bytes = message.SerializeAsString();
  EchoRequest out;
  ParseBoth(bytes, &out);
  const char* const room = out.payload().data();
  ParseBoth(bytes, &out);
  EXPECT_EQ(out.payload().data(), room);
  EchoRequest small;
  small.set_text("small");
  ParseBoth(small.SerializeAsString(), &out);
  EXPECT_EQ(out.payload(), "");
}

TEST(StringRoom, IsNotMadeForWhatHasNoRoom) {
  EchoRequest message;
  EchoRequest out;
  // Behind many small fields, and in a repeated one.
  for (int i = 0; i < StringRoom::kMaxFields; ++i) message.add_words("w");
  message.add_words(std::string(kLarge, 'w'));
  std::string bytes = message.SerializeAsString();
  EXPECT_FALSE(StringRoom::Make(bytes.data(), bytes.size(), &out));
  ParseBoth(bytes, &out);
  // Of a field that the message does not know.
  google::protobuf::Field other;
  other.set_json_name(std::string(kLarge, 'j'));
  bytes = other.SerializeAsString();
  out.Clear();
  EXPECT_FALSE(StringRoom::Make(bytes.data(), bytes.size(), &out));
  ParseBoth(bytes, &out);
}

TEST(StringRoom, BrokenMessagesAreBroken) {
  EchoRequest message;
  message.set_payload(std::string(kLarge, 'p'));
  const std::string bytes = message.SerializeAsString();
  for (const std::string& broken :
       {bytes.substr(0, bytes.size() - 1), bytes + "\x0a", bytes + std::string("\x00", 1),
        bytes + "\x0c", std::string(kLarge, '\xff')}) {
    EchoRequest out;
    EXPECT_EQ(MessageCodec::Parse(broken.data(), broken.size(), &out),
              MessageCodec::Parsed::kBroken);
    EXPECT_FALSE(EchoRequest().ParseFromString(broken));
  }
}

}  // namespace
}  // namespace weft::internal
