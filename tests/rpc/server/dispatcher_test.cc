// The table of methods, and the texts for names that it does not have. No call runs here.
#include "weft/rpc/server/dispatcher.h"

#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace weft::internal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A service with methods of any names and without handlers.
class NamedService : public Service {
 public:
  NamedService(std::string name, const std::vector<std::string>& methods) : name_(std::move(name)) {
    // The method infos refer to these strings and the methods to the infos: neither vector may grow
    // later.
    names_.reserve(methods.size() * 2);
    infos_.reserve(methods.size());
    for (const std::string& method : methods) {
      names_.push_back(method);
      names_.push_back(absl::StrCat(name_, "/", method));
      infos_.push_back({.service = name_,
                        .name = names_[names_.size() - 2],
                        .full_name = names_[names_.size() - 1],
                        .run_inline = method == "Inline"});
      methods_.push_back({&infos_.back(), nullptr});
    }
  }
  std::string_view full_name() const override { return name_; }
  std::span<const ServiceMethod> methods() const override { return methods_; }

 private:
  const std::string name_;
  std::vector<std::string> names_;
  std::vector<MethodInfo> infos_;
  std::vector<ServiceMethod> methods_;
};

TEST(Dispatcher, FindsMethodsByFullName) {
  NamedService one("a.One", {"Say", "Inline"}), two("a.Two", {"Say"});
  Dispatcher dispatcher(/*run_inline=*/false);
  ASSERT_TRUE(dispatcher.Add(one).ok());
  ASSERT_TRUE(dispatcher.Add(two).ok());
  const BoundMethod* say = dispatcher.Find("a.One/Say");
  ASSERT_NE(say, nullptr);
  EXPECT_EQ(say->service, &one);
  EXPECT_FALSE(say->run_inline);
  EXPECT_TRUE(dispatcher.Find("a.One/Inline")->run_inline);
  EXPECT_EQ(dispatcher.Find("a.Two/Say")->service, &two);
  for (const char* none : {"", "/", "a.One", "a.One/", "a.One/say", "One/Say", "a.One/Say/"}) {
    EXPECT_EQ(dispatcher.Find(none), nullptr) << none;
  }
}

TEST(Dispatcher, RunsEverythingInlineWhenTold) {
  NamedService one("a.One", {"Say"});
  Dispatcher dispatcher(/*run_inline=*/true);
  ASSERT_TRUE(dispatcher.Add(one).ok());
  EXPECT_TRUE(dispatcher.Find("a.One/Say")->run_inline);
}

TEST(Dispatcher, RefusesASecondServiceOfAName) {
  NamedService one("a.One", {"Say"}), same("a.One", {"Other"});
  Dispatcher dispatcher(/*run_inline=*/false);
  ASSERT_TRUE(dispatcher.Add(one).ok());
  EXPECT_EQ(dispatcher.Add(same).code(), absl::StatusCode::kAlreadyExists);
  // The refused service leaves nothing behind, neither methods nor statistics.
  EXPECT_EQ(dispatcher.Find("a.One/Other"), nullptr);
  EXPECT_EQ(dispatcher.Stats().size(), 1u);
}

TEST(Dispatcher, SaysWhatIsThereInOrder) {
  NamedService one("a.One", {"Say", "Ask"}), two("a.Two", {});
  Dispatcher dispatcher(/*run_inline=*/false);
  EXPECT_THAT(std::string(dispatcher.Unknown("x/y").message()), HasSubstr("services here: none"));
  ASSERT_TRUE(dispatcher.Add(two).ok());
  ASSERT_TRUE(dispatcher.Add(one).ok());
  EXPECT_EQ(dispatcher.Unknown("a.One/Shout"),
            absl::UnimplementedError("unknown method a.One/Shout; service a.One has: Ask, Say"));
  EXPECT_EQ(dispatcher.Unknown("a.Two/Shout"),
            absl::UnimplementedError("unknown method a.Two/Shout; service a.Two has: none"));
  EXPECT_EQ(
      dispatcher.Unknown("a.Three/Say"),
      absl::UnimplementedError("unknown service in a.Three/Say; services here: a.One, a.Two"));
}

TEST(Dispatcher, DoesNotAnswerWithMoreNamesThanAReaderWants) {
  Dispatcher dispatcher(/*run_inline=*/false);
  std::vector<std::unique_ptr<NamedService>> many;
  // Numbers of three digits: the order of the names is the order of the numbers.
  for (int i = 100; i < 130; ++i) {
    many.push_back(
        std::make_unique<NamedService>(absl::StrCat("s", i), std::vector<std::string>()));
    ASSERT_TRUE(dispatcher.Add(*many.back()).ok());
  }
  // Twenty names are listed, and a caller's own name, which may be of any length, is cut as well.
  const std::string text(dispatcher.Unknown(std::string(10'000, 'x') + "/y").message());
  EXPECT_THAT(text,
              AllOf(HasSubstr("s100"), HasSubstr("s119 and 10 more"), Not(HasSubstr("s120"))));
  EXPECT_LT(text.size(), 500u);
}

}  // namespace
}  // namespace weft::internal
