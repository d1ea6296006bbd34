// C++ names for the names of a .proto: unchanged wherever C++ allows them, else with underscores.
#include "weft/codegen/cpp_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::codegen {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(CppNames, PackageIsANestedNamespace) {
  EXPECT_EQ(CppNamespace(""), "");
  EXPECT_EQ(CppNamespace("demo"), "demo");
  EXPECT_EQ(CppNamespace("demo.v1.inner"), "demo::v1::inner");
}

TEST(CppNames, KeywordInAPackageGetsAnUnderscore) {
  EXPECT_EQ(CppNamespace("demo.namespace.int"), "demo::namespace_::int_");
}

TEST(CppNames, ConstantsStartWithK) {
  EXPECT_EQ(ConstantName("Say"), "kSay");
  EXPECT_EQ(ConstantName("say"), "kSay");
  EXPECT_EQ(ConstantName("get_user"), "kGet_user");
  EXPECT_EQ(ConstantName("_x"), "k_x");
}

TEST(CppNames, GoodNamesStayAsTheyAre) {
  EXPECT_THAT(AssignNames({"Say", "Look"}, {"Other"}), ElementsAre("Say", "Look"));
  EXPECT_THAT(AssignNames({}, {}), IsEmpty());
}

TEST(CppNames, KeywordsAndMacrosGetAnUnderscore) {
  // The names are keywords, one of them of C++20, and macros of headers that generated code
  // includes.
  EXPECT_THAT(AssignNames({"delete", "co_await", "char8_t", "NULL", "EOF", "errno"}, {}),
              ElementsAre("delete_", "co_await_", "char8_t_", "NULL_", "EOF_", "errno_"));
}

// tests/codegen/macros.py compares generated names with the macros of all these headers.
TEST(CppNames, NamesThatLookLikeMacrosGetAnUnderscore) {
  EXPECT_THAT(AssignNames({"FOO_BAR", "SYS_read", "A_b", "_x", "B2_"}, {}),
              ElementsAre("FOO_BAR_", "SYS_read_", "A_b_", "_x_", "B2__"));
  // Names of methods have capitals without an underscore, too, or small letters before it.
  EXPECT_THAT(AssignNames({"KV", "GET", "Get_KV", "get_KV", "kA_B", "x_"}, {}),
              ElementsAre("KV", "GET", "Get_KV", "get_KV", "kA_B", "x_"));
}

TEST(CppNames, TakenNamesGetUnderscoresUntilTheyAreFree) {
  EXPECT_THAT(AssignNames({"Stub"}, {"Stub"}), ElementsAre("Stub_"));
  EXPECT_THAT(AssignNames({"Stub"}, {"Stub", "Stub_"}), ElementsAre("Stub__"));
}

TEST(CppNames, WhoHasTheNameKeepsIt) {
  // `class_` stands in the .proto and keeps its name, so the keyword gets a second underscore.
  EXPECT_THAT(AssignNames({"class", "class_"}, {}), ElementsAre("class__", "class_"));
}

TEST(CppNames, EarlierNamesGoFirst) {
  EXPECT_THAT(AssignNames({"kSay", "kSay", "kSay"}, {}), ElementsAre("kSay", "kSay_", "kSay__"));
}

}  // namespace
}  // namespace weft::codegen
