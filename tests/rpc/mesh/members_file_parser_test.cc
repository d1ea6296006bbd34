// The text of a members file. A file with one fault gives no view at all; the error quotes the
// line.
#include "weft/rpc/mesh/members_file_parser.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace weft::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(MembersFileParser, ReadsMembersVersionAndComments) {
  const absl::StatusOr<View> view = MembersFileParser::Parse(
      "# the cluster\n"
      "\n"
      "version 17  # raised by hand\r\n"
      " \t b\t db-1.db:7000\t \r\n"
      "a 10.0.0.1:7000 #not the old one\n"
      "   # b 10.0.0.9:1\n"
      "c unix:/run/c#1\n");
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->version(), 17u);
  EXPECT_THAT(view->members(),
              ElementsAre(Member{"a", "10.0.0.1:7000"}, Member{"b", "db-1.db:7000"},
                          Member{"c", "unix:/run/c#1"}))
      << "# begins a comment only at the beginning of a word";
}

TEST(MembersFileParser, MakesAVersionOfTheMembersAlone) {
  const auto one = MembersFileParser::Parse("a h:1\nb h:2\n");
  const auto other = MembersFileParser::Parse("# other text\n\nb  h:2\r\n\ta h:1\n");
  const auto third = MembersFileParser::Parse("a h:1\nb h:3\n");
  ASSERT_TRUE(one.ok() && other.ok() && third.ok());
  EXPECT_EQ(one->version(), other->version());
  EXPECT_NE(one->version(), third->version());
  // A file and a program's own list of the same members have one version.
  EXPECT_EQ(one->version(), View::Create({{"a", "h:1"}, {"b", "h:2"}})->version());
}

TEST(MembersFileParser, TakesTheLargestVersion) {
  const auto view = MembersFileParser::Parse("version 18446744073709551615\na h:1\n");
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->version(), UINT64_MAX);
}

struct Refused {
  std::string text;
  const char* why;
};

TEST(MembersFileParser, Case23RefusesAWholeFileForOneFault) {
  const std::vector<Refused> table = {
      {"", "without members"},
      {"# nobody\n\n", "without members"},
      {"version 3\n", "without members"},
      {"a h:1\nb\nc h:3\n", "line 2 \"b\": expected a name and an address"},
      {"a h:1\n\nb h:2 c h:3\n", "line 3 \"b h:2 c h:3\": more words"},
      {"a h:1\na h:2\n", "line 2 \"a h:2\": member a twice; the first is in line 1"},
      {"a h:1\na h:1\n", "member a twice"},
      {"a [::1]:1\nb [0::1]:01\n",
       "line 2 \"b [0::1]:01\": the address of another member, in line 1"},
      {"a h\n", "line 1 \"a h\": address \"h\": no port"},
      {"a h:0\n", "port 0"},
      {"a, h:1\n", "member's name \"a,\""},
      {"10.0.0.1:7000 a\n", "member's name \"10.0.0.1:7000\""},
      {"version\n", "expected a number behind version"},
      {"version 0\na h:1\n", "line 1 \"version 0\": the version is no number from 1"},
      {"version -1\na h:1\n", "the version is no number"},
      {"version 0x1f\na h:1\n", "the version is no number"},
      {"version 18446744073709551616\na h:1\n", "the version is no number"},
      {"version 1\nversion 1\n", "line 2 \"version 1\": a second version; the first is in line 1"},
      // A member cannot be named so.
      {"version h:1\n", "the version is no number"},
      // A byte order mark is no blank. The text is split, for the escape would take the "a" for a
      // digit.
      {"\xef\xbb\xbf"
       "a h:1\n",
       "line 1 \"\\xef\\xbb\\xbfa h:1\": member's name"},
      // Lines that end in \r alone do not end.
      {"a h:1\rb h:2\r", "line 1 \"a h:1\\rb h:2\\r\""},
      // Control characters are quoted escaped, so that an error cannot colour a terminal.
      {"a h:1\nb h:\x1b[31m1\n", "line 2 \"b h:\\x1b[31m1\""},
      {std::string("a h:1\nb\0 h:2\n", 13), "line 2 \"b\\x00 h:2\""},
  };
  for (const Refused& row : table) {
    const absl::StatusOr<View> view = MembersFileParser::Parse(row.text);
    EXPECT_EQ(view.status().code(), absl::StatusCode::kInvalidArgument) << row.text;
    EXPECT_THAT(view.status().message(), HasSubstr(row.why)) << row.text;
  }
}

// A writer that is cut off leaves a beginning of its text, which may end inside "10.0.0.2:7000".
TEST(MembersFileParser, Case23RefusesEveryBeginningThatEndsWithinALine) {
  const std::string whole = "version 12\na 10.0.0.1:7000\nb 10.0.0.2:7000 # last\n";
  for (size_t size = 1; size < whole.size(); ++size) {
    // A beginning that ends with a line cannot be told from a whole file.
    if (whole[size - 1] == '\n') continue;
    const absl::StatusOr<View> view = MembersFileParser::Parse(whole.substr(0, size));
    EXPECT_FALSE(view.ok()) << size;
    EXPECT_THAT(view.status().message(), HasSubstr("the last line does not end")) << size;
  }
  EXPECT_TRUE(MembersFileParser::Parse(whole).ok());
}

TEST(MembersFileParser, Case23QuotesLittleOfALineOfAMegabyte) {
  const std::string large(size_t{1} << 20, 'x');
  // The long word stands in each place of the second line, and last in a line without an end.
  for (const std::string& text :
       {absl::StrCat("a h:1\n", large, "\n"), absl::StrCat("a h:1\nb ", large, "\n"),
        absl::StrCat("a h:1\nb h:2 ", large, "\n"), absl::StrCat("a h:1\n", large)}) {
    const absl::StatusOr<View> view = MembersFileParser::Parse(text);
    EXPECT_FALSE(view.ok());
    EXPECT_THAT(view.status().message(), HasSubstr("line 2 \""));
    EXPECT_LT(view.status().message().size(), 400u);
    EXPECT_THAT(std::string(view.status().message()), Not(HasSubstr(std::string(100, 'x'))));
  }
  EXPECT_TRUE(MembersFileParser::Parse(absl::StrCat("a h:1\n#", large, "\n")).ok())
      << "a comment may be as long as it likes";
}

TEST(MembersFileParser, CountsMembersUpToTheLimit) {
  std::string text;
  for (size_t i = 0; i < View::kMaxMembers; ++i) absl::StrAppend(&text, "n", i, " h", i, ":1\n");
  EXPECT_TRUE(MembersFileParser::Parse(text).ok());
  text += "one more:1\n";
  EXPECT_THAT(MembersFileParser::Parse(text).status().message(),
              HasSubstr("line 10001 \"one more:1\": one more than 10000 members"));
}

}  // namespace
}  // namespace weft::internal
