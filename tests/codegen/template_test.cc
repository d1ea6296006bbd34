// Text with holes: values, lines that repeat or vanish, and mistakes that are named with their
// line.
#include "weft/codegen/template.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"

namespace weft::codegen {
namespace {

using ::testing::HasSubstr;

std::string MustExpand(const std::string& text, const TemplateValues& values) {
  absl::StatusOr<std::string> result = Expand(text, values);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.value_or("");
}

std::string ErrorOf(const std::string& text, const TemplateValues& values) {
  absl::StatusOr<std::string> result = Expand(text, values);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(result.status().message());
}

TemplateValues Values(std::map<std::string, std::string> values) {
  return {.values = std::move(values), .lists = {}};
}

TEST(Template, FillsHoles) {
  EXPECT_EQ(MustExpand("a $x$ b $y$$x$\n", Values({{"x", "1"}, {"y", "2"}})), "a 1 b 21\n");
}

TEST(Template, DollarIsWrittenTwice) { EXPECT_EQ(MustExpand("cost: $$5\n", {}), "cost: $5\n"); }

TEST(Template, DropsOneLineFeedAtTheStart) { EXPECT_EQ(MustExpand("\n\na\n", {}), "\na\n"); }

TEST(Template, DoesNotExpandValues) {
  // A value may hold comments of a .proto, with dollars in them.
  EXPECT_EQ(MustExpand("<$x$>\n", Values({{"x", "$y$ $for z$"}})), "<$y$ $for z$>\n");
}

TEST(Template, HoleAloneIndentsEveryLineOfItsValue) {
  // An empty line of the value stays without blanks.
  EXPECT_EQ(MustExpand("{\n  $x$\n}\n", Values({{"x", "// one\n//\n\n// two"}})),
            "{\n  // one\n  //\n\n  // two\n}\n");
}

TEST(Template, EmptyHoleAloneTakesItsLineAway) {
  EXPECT_EQ(MustExpand("{\n  $x$\n}\n", Values({{"x", ""}})), "{\n}\n");
}

TEST(Template, EmptyHoleBesideTextKeepsTheLine) {
  EXPECT_EQ(MustExpand("  a$x$\n", Values({{"x", ""}})), "  a\n");
}

TEST(Template, KeepsEmptyLines) { EXPECT_EQ(MustExpand("a\n\nb\n", {}), "a\n\nb\n"); }

TEST(Template, RepeatsLinesForEachElement) {
  TemplateValues values = Values({{"outer", "o"}, {"name", "hidden"}});
  values.lists["items"] = {Values({{"name", "a"}}), Values({{"name", "b"}})};
  // The element's `name` hides the one outside, which is there again behind the loop.
  EXPECT_EQ(MustExpand("$for items$\n  $name$$outer$\n$end$\n$name$\n", values),
            "  ao\n  bo\nhidden\n");
}

TEST(Template, NestsLoopsAndBlocks) {
  // `on` is empty inside and set outside: each $if$ asks the innermost.
  TemplateValues inner = Values({{"name", "x"}, {"on", ""}});
  TemplateValues outer = Values({{"on", "yes"}});
  outer.lists["inner"] = {inner, inner};
  TemplateValues values;
  values.lists["outer"] = {outer};
  EXPECT_EQ(MustExpand("$for outer$\n"
                       "$for inner$\n"
                       "$if on$\n"
                       "on\n"
                       "$else$\n"
                       "off $name$\n"
                       "$end$\n"
                       "$end$\n"
                       "$if on$\n"
                       "end\n"
                       "$end$\n"
                       "$end$\n",
                       values),
            "off x\noff x\nend\n");
}

TEST(Template, LoopOverNothingLeavesNothing) {
  TemplateValues values;
  values.lists["items"] = {};
  EXPECT_EQ(MustExpand("a\n$for items$\n$name$\n$end$\nb\n", values), "a\nb\n");
}

TEST(Template, IfAsksWhetherAListHasElements) {
  TemplateValues values;
  values.lists["none"] = {};
  values.lists["some"] = {TemplateValues()};
  EXPECT_EQ(MustExpand("$if none$\na\n$end$\n$if some$\nb\n$end$\n", values), "b\n");
}

TEST(Template, ElseOfANestedBlockIsNotTheOuterOne) {
  // The inner block is left out as a whole, with its own $else$.
  EXPECT_EQ(
      MustExpand("$if no$\n$if no$\na\n$else$\nb\n$end$\n$else$\nc\n$end$\n", Values({{"no", ""}})),
      "c\n");
}

TEST(Template, RefusesUnknownNames) {
  EXPECT_THAT(ErrorOf("a\n$x$\n", {}), HasSubstr("line 2: no value 'x'"));
  EXPECT_THAT(ErrorOf("$if x$\n$end$\n", {}), HasSubstr("line 1: no 'x'"));
  EXPECT_THAT(ErrorOf("$for x$\n$end$\n", {}), HasSubstr("line 1: no list 'x'"));
}

TEST(Template, RefusesUnfinishedText) {
  const TemplateValues values = Values({{"x", "1"}});
  EXPECT_THAT(ErrorOf("a $x\n", values), HasSubstr("without its partner"));
  EXPECT_THAT(ErrorOf("$if x$\na\n", values), HasSubstr("line 1: a block without $end$"));
  EXPECT_THAT(ErrorOf("a\n$end$\n", values), HasSubstr("line 2: $end$ without a block"));
  EXPECT_THAT(ErrorOf("$else$\n", values), HasSubstr("$else$ without a block"));
}

}  // namespace
}  // namespace weft::codegen
