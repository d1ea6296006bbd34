// Views of a cluster: which lists of members make one, and how two differ.
#include "weft/rpc/mesh/view.h"

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace weft::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

View Made(std::vector<Member> members, uint64_t version = 0) {
  absl::StatusOr<View> view = View::Create(std::move(members), version);
  EXPECT_TRUE(view.ok()) << view.status();
  return view.ok() ? *view : View();
}

std::string WhyNot(std::vector<Member> members) {
  const absl::StatusOr<View> view = View::Create(std::move(members));
  EXPECT_EQ(view.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(view.status().message());
}

TEST(View, HasItsMembersByName) {
  const View view = Made({{"c", "h:3"}, {"a", "h:1"}, {"b", "h:2"}}, 17);
  EXPECT_EQ(view.version(), 17u);
  EXPECT_THAT(view.members(),
              ElementsAre(Member{"a", "h:1"}, Member{"b", "h:2"}, Member{"c", "h:3"}));
  ASSERT_NE(view.Find("b"), nullptr);
  EXPECT_EQ(view.Find("b")->address, "h:2");
  // Neither another case of a letter nor a longer name is the member.
  for (const char* other : {"", "A", "aa", "d"}) EXPECT_FALSE(view.Has(other)) << other;
}

TEST(View, IsEmptyBeforeTheFirst) {
  const View none;
  EXPECT_EQ(none.version(), 0u);
  EXPECT_TRUE(none.empty());
  EXPECT_FALSE(none.Has(""));
  EXPECT_TRUE(none == View());
  EXPECT_FALSE(none == Made({{"a", "h:1"}}));
}

TEST(View, Case23IsRefusedWithAMemberTwice) {
  EXPECT_THAT(WhyNot({{"a", "h:1"}, {"b", "h:2"}, {"a", "h:3"}}),
              HasSubstr("member a twice, at h:1 and h:3"));
  EXPECT_THAT(WhyNot({{"a", "h:1"}, {"a", "h:1"}}), HasSubstr("member a twice"));
}

TEST(View, Case23IsRefusedWithTwoMembersAtOneAddress) {
  EXPECT_THAT(WhyNot({{"a", "h:1"}, {"b", "h:1"}}),
              HasSubstr("members a and b at one address, h:1"));
  EXPECT_THAT(WhyNot({{"a", "[::1]:1"}, {"b", "[0::1]:01"}}), HasSubstr("at one address"))
      << "written otherwise";
}

TEST(View, Case23IsRefusedWithoutMembersOrWithWrongOnes) {
  EXPECT_THAT(WhyNot({}), HasSubstr("without members"));
  EXPECT_THAT(WhyNot({{"a b", "h:1"}}), HasSubstr("member's name \"a b\""));
  EXPECT_THAT(WhyNot({{"a", ""}}), HasSubstr("member a: member's address \"\": it is empty"));
}

TEST(View, HasALimitOfMembers) {
  std::vector<Member> members;
  for (size_t i = 0; i < View::kMaxMembers; ++i) {
    members.push_back({absl::StrCat("n", i), absl::StrCat("h", i, ":1")});
  }
  EXPECT_EQ(Made(members).size(), View::kMaxMembers);
  members.push_back({"one", "more:1"});
  EXPECT_THAT(WhyNot(members), HasSubstr("10001 members (limit 10000)"));
}

TEST(View, WithoutAVersionHasOneOfItsMembersAloneThatNeverChanges) {
  const View view = Made({{"a", "10.0.0.1:7000"}, {"b", "10.0.0.2:7000"}});
  EXPECT_EQ(view.version(), Made({{"b", "10.0.0.2:7000"}, {"a", "10.0.0.1:7000"}}).version());
  // Processes of other builds compare it: it is part of what nodes say to each other.
  EXPECT_EQ(view.version(), 0xb54397c9679873bbu);
  const std::vector<std::vector<Member>> others = {
      {{"a", "10.0.0.1:7000"}},
      // The same names and addresses, in other pairs.
      {{"a", "10.0.0.2:7000"}, {"b", "10.0.0.1:7000"}},
      {{"a", "10.0.0.1:7000"}, {"b", "10.0.0.2:7001"}},
      // The same letters in the same order, split elsewhere.
      {{"a1", "0.0.0.1:7000"}, {"b", "10.0.0.2:7000"}},
  };
  for (const auto& members : others) EXPECT_NE(Made(members).version(), view.version());
}

TEST(ViewDifference, HasWhoJoinedLeftAndMoved) {
  const View from = Made({{"a", "h:1"}, {"b", "h:2"}, {"c", "h:3"}, {"d", "h:4"}});
  // The address of a, which left, is taken over by e. The text of d's address changes, the address
  // does not.
  const View to = Made({{"b", "h:2"}, {"c", "h:33"}, {"d", "H:04"}, {"e", "h:1"}});
  const ViewDifference difference = ViewDifference::Between(from, to);
  EXPECT_THAT(difference.joined, ElementsAre(Member{"e", "h:1"}));
  EXPECT_THAT(difference.left, ElementsAre(Member{"a", "h:1"}));
  EXPECT_THAT(difference.moved, ElementsAre(ViewDifference::Move{{"c", "h:3"}, {"c", "h:33"}}))
      << "d is where it was";
}

TEST(ViewDifference, IsEmptyBetweenEqualViewsAndAllFromNone) {
  const View view = Made({{"a", "h:1"}, {"b", "h:2"}});
  EXPECT_TRUE(ViewDifference::Between(view, view).empty());
  EXPECT_EQ(ViewDifference::Between(View(), view).joined.size(), 2u);
  EXPECT_EQ(ViewDifference::Between(view, View()).left.size(), 2u);
  EXPECT_THAT(ViewDifference::Between(view, View()).joined, IsEmpty());
}

}  // namespace
}  // namespace weft::internal
