// Replies of peers in groups of equal ones.
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
  // Two groups of one each: the earlier one stays first.
  EXPECT_EQ(replies.first(), "a");
  EXPECT_EQ(replies.Add("c", "2"), 2);
  EXPECT_EQ(replies.most(), 2);
  // The larger group, and in it the peer that came before c.
  EXPECT_EQ(replies.first(), "b");
  EXPECT_EQ(replies.different(), 2);
}

TEST(EqualReplies, EqualMessagesHaveEqualBytes) {
  test::EchoReply one, other;
  one.set_text("t");
  one.set_number(7);
  // The fields are set in another order.
  other.set_number(7);
  other.set_text("t");
  EXPECT_EQ(EqualReplies::BytesOf(one), EqualReplies::BytesOf(other));
  other.set_number(8);
  EXPECT_NE(EqualReplies::BytesOf(one), EqualReplies::BytesOf(other));
}

}  // namespace
}  // namespace weft::internal
