// Comments of a .proto as comments of C++. Anybody may have written their text: no part of it may
// end the comment, or swallow the line behind it.
#include "weft/codegen/comment.h"

#include <gtest/gtest.h>

namespace weft::codegen {
namespace {

TEST(Comment, NothingSaidIsNoComment) {
  EXPECT_EQ(CommentLines("", ""), "");
  EXPECT_EQ(CommentLines(" \n \n", "\n"), "");
}

TEST(Comment, KeepsIndentationAndParagraphs) {
  EXPECT_EQ(CommentLines(" One.\n\n   two\n", ""), "// One.\n//\n//   two");
}

TEST(Comment, SetsASpaceWhereThereWasNone) { EXPECT_EQ(CommentLines("One.\n", ""), "// One."); }

TEST(Comment, TrailingFollowsLeading) {
  EXPECT_EQ(CommentLines(" One.\n", " Two.\n"), "// One.\n//\n// Two.");
  EXPECT_EQ(CommentLines("", " Two.\n"), "// Two.");
}

TEST(Comment, DropsEmptyLinesAtBothEnds) {
  EXPECT_EQ(CommentLines("\n\n One.\n\n\n", ""), "// One.");
}

TEST(Comment, NoLineEndsInABackslash) {
  EXPECT_EQ(CommentLines(" a \\\n b\n", ""), "// a \\ //\n// b");
  // gcc takes a backslash for the end of a line even if blanks follow it.
  EXPECT_EQ(CommentLines(" a \\ \t\n", ""), "// a \\ //");
}

TEST(Comment, NoLineEndsInTheTrigraphForABackslash) {
  // The trigraph is escaped in this file, where it would act as well.
  EXPECT_EQ(CommentLines(" a ?\?/\n", ""), "// a ?\?/ //");
}

TEST(Comment, OtherLineEndsDoNotEndIt) {
  EXPECT_EQ(CommentLines(" a\r\n b\r\n", ""), "// a\n// b");
  // A compiler that ends a line at a carriage return would read code here.
  EXPECT_EQ(CommentLines(" a\rint x;\f\v b\n", ""), "// a int x;   b");
}

TEST(Comment, LeavesEndsOfBlockCommentsAlone) {
  EXPECT_EQ(CommentLines(" a */ b /* c\n", ""), "// a */ b /* c");
}

}  // namespace
}  // namespace weft::codegen
