// Names and addresses of members, and the texts that refuse wrong ones.
#include "weft/rpc/mesh/member.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft {
namespace {

using ::testing::HasSubstr;

std::string Said(const absl::Status& status) { return std::string(status.message()); }

TEST(Member, TakesNamesOfLettersDigitsAndFewSigns) {
  for (const char* name : {"a", "7", "db-0", "DB_0.rack.example", "a.", "a-"}) {
    EXPECT_TRUE(Member::CheckName(name).ok()) << name;
  }
  EXPECT_TRUE(Member::CheckName(std::string(Member::kMaxName, 'n')).ok());
}

TEST(Member, RefusesOtherNames) {
  const std::string expected = "letters, digits";
  // A sign in front, and signs that separate words in files, in logs and on terminals.
  for (const char* name : {"-a", ".a", "_a", "a b", "a:1", "a/b", "a\n", "ä", "#a", "a\x1b[2J"}) {
    EXPECT_THAT(Said(Member::CheckName(name)), HasSubstr(expected)) << name;
  }
  // A zero byte inside is part of the name and is quoted as such.
  EXPECT_THAT(Said(Member::CheckName(std::string("a\0b", 3))), HasSubstr("\"a\\x00b\""));
  EXPECT_THAT(Said(Member::CheckName("")), HasSubstr("is empty"));
  const std::string long_one = Said(Member::CheckName(std::string(1 << 20, 'n')));
  EXPECT_THAT(long_one, HasSubstr("1048576 bytes, limit 128"));
  EXPECT_LT(long_one.size(), 200u) << "a name of a megabyte is not quoted whole";
}

TEST(Member, TakesAddressesThatCanBeConnectedTo) {
  for (const char* address : {"10.0.0.7:7000", "[::1]:1", "[fe80::1%eth0]:7", "db-0.db:65535",
                              "unix:/run/x.sock", "unix:@x", "inproc:a"}) {
    EXPECT_TRUE(Member::CheckAddress(address).ok()) << address;
  }
}

TEST(Member, RefusesOtherAddresses) {
  EXPECT_THAT(Said(Member::CheckAddress("")), HasSubstr("is empty"));
  EXPECT_THAT(Said(Member::CheckAddress("10.0.0.7")), HasSubstr("no port"));
  EXPECT_THAT(Said(Member::CheckAddress("10.0.0.7:0")), HasSubstr("port 0"));
  EXPECT_THAT(Said(Member::CheckAddress("10.0.0.7:70000")), HasSubstr("65535"));
  EXPECT_THAT(Said(Member::CheckAddress("unix:/a b")), HasSubstr("without spaces"));
  EXPECT_THAT(Said(Member::CheckAddress("db\x07:1")), HasSubstr("\"db\\x07:1\""));
  EXPECT_THAT(Said(Member::CheckAddress(std::string(1000, 'a') + ":1")),
              HasSubstr("1002 bytes, limit 300"));
  EXPECT_THAT(Said(Member{"b", "x"}.Check()), HasSubstr("member b: address \"x\": no port"));
}

TEST(Member, HasOneTextForAddressesThatMeanTheSame) {
  const auto canonical = [](const char* address) {
    return Member{"a", address}.CanonicalAddress();
  };
  EXPECT_EQ(canonical("[0:0:0::1]:07"), "[::1]:7");
  EXPECT_EQ(canonical("DB-0.Example.:7"), "db-0.example:7");
  EXPECT_EQ(canonical("10.0.0.1:0080"), "10.0.0.1:80");
  // Case counts in paths and in names inside the process.
  EXPECT_EQ(canonical("unix:/Run/X"), "unix:/Run/X");
  EXPECT_EQ(canonical("inproc:A"), "inproc:A");
  // The interface belongs to a link-local address.
  EXPECT_NE(canonical("[fe80::1%eth0]:7"), canonical("[fe80::1%eth1]:7"));
}

}  // namespace
}  // namespace weft
