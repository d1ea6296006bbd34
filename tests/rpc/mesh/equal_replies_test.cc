#include "weft/rpc/mesh/equal_replies.h"

#include <gtest/gtest.h>

#include "tests/protos/echo.pb.h"

namespace weft::internal {
namespace {

TEST(EqualReplies, KnowsTheMostAndWhoWasFirst) {
  EqualReplies replies;
  EXPECT_EQ(replies.most(), 0);
  EXPECT_EQ(replies.first(), "");
  EXPECT_EQ(replies.Add("a", "1"), 1);
  EXPECT_EQ(replies.Add("b", "2"), 1);
  EXPECT_EQ(replies.first(), "a");
  EXPECT_EQ(replies.Add("c", "2"), 2);
  EXPECT_EQ(replies.most(), 2);
  EXPECT_EQ(replies.first(), "b");
  EXPECT_EQ(replies.different(), 2);
}

TEST(EqualReplies, EqualMessagesHaveEqualBytes) {
  test::EchoReply one, other;
  one.set_text("t");
  one.set_number(7);
  other.set_number(7);
  other.set_text("t");
  EXPECT_EQ(EqualReplies::BytesOf(one), EqualReplies::BytesOf(other));
  other.set_number(8);
  EXPECT_NE(EqualReplies::BytesOf(one), EqualReplies::BytesOf(other));
}

}  // namespace
}  // namespace weft::internal
