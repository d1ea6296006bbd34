// A list of members that the program holds and replaces itself.
#include "weft/rpc/mesh/static_members.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(StaticMembers, TellsItsListInsideStartAndEachThatIsSet) {
  const auto members = StaticMembers::Create({{"b", "h:2"}, {"a", "h:1"}}, 5);
  ASSERT_TRUE(members.ok()) << members.status();
  std::vector<View> views;
  // The listener is called on this thread, before Start returns.
  (*members)->Start([&](absl::StatusOr<View> news) { views.push_back(*news); });
  ASSERT_EQ(views.size(), 1u);
  EXPECT_EQ(views[0].version(), 5u);
  EXPECT_THAT(views[0].members(), ElementsAre(Member{"a", "h:1"}, Member{"b", "h:2"}));
  EXPECT_TRUE((*members)->Set({{"a", "h:1"}}).ok());
  ASSERT_EQ(views.size(), 2u);
  EXPECT_EQ(views[1].size(), 1u);
  EXPECT_TRUE((*members)->Announce({"z", "h:9"}).ok()) << "a list says who is in it";
  // No source can be asked here, so the call tells nothing.
  (*members)->AskAgain();
  (*members)->Stop();
  EXPECT_TRUE((*members)->Set({{"c", "h:3"}}).ok());
  EXPECT_EQ(views.size(), 2u) << "nothing is told after Stop";
}

TEST(StaticMembers, Case23RefusesAWrongListAndStaysWithTheLast) {
  EXPECT_THAT(StaticMembers::Create({}).status().message(), HasSubstr("without members"));
  const auto members = StaticMembers::Create({{"a", "h:1"}});
  ASSERT_TRUE(members.ok());
  std::vector<std::string> said;
  (*members)->Start([&](const absl::StatusOr<View>& news) {
    said.push_back(news.ok() ? "view" : std::string(news.status().message()));
  });
  const absl::Status twice = (*members)->Set({{"a", "h:1"}, {"a", "h:2"}});
  EXPECT_EQ(twice.code(), absl::StatusCode::kInvalidArgument);
  // The caller of Set gets the error, and so does the listener.
  EXPECT_THAT(said, ElementsAre("view", HasSubstr("member a twice")));
  (*members)->Stop();
}

}  // namespace
}  // namespace weft
