// The unknown names that a peer has bound, and the bounds on what is kept of them.
#include "weft/rpc/protocol/native/unknown_methods.h"

#include <string>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace weft::internal::native {
namespace {

TEST(UnknownMethods, KnowTheNameThatANumberWasLastBoundTo) {
  UnknownMethods unknown;
  EXPECT_FALSE(unknown.Contains(7));
  unknown.Add(7, "a.B/Say");
  EXPECT_TRUE(unknown.Contains(7));
  // The numbers on both sides of a bound one.
  EXPECT_FALSE(unknown.Contains(6));
  EXPECT_FALSE(unknown.Contains(8));
  EXPECT_EQ(unknown.Name(7), "a.B/Say");
  unknown.Add(7, "a.B/Ask");
  EXPECT_EQ(unknown.Name(7), "a.B/Ask");
  unknown.Erase(7);
  EXPECT_FALSE(unknown.Contains(7));
  EXPECT_EQ(unknown.Name(7), "method number 7");
  unknown.Erase(9);  // was never bound
}

TEST(UnknownMethods, KeepTheBeginningOfANameOnly) {
  UnknownMethods unknown;
  unknown.Add(1, std::string(10'000, 'x'));
  EXPECT_EQ(unknown.Name(1).size(), UnknownMethods::kMaxNameBytes);
}

TEST(UnknownMethods, KeepTheFirstNamesAndOfOthersTheNumber) {
  UnknownMethods unknown;
  const auto last = static_cast<uint16_t>(UnknownMethods::kMaxNames);
  for (uint16_t i = 0; i < last; ++i) {
    EXPECT_TRUE(unknown.KeepsMore(i));
    unknown.Add(i, absl::StrCat("name ", i));
  }
  EXPECT_FALSE(unknown.KeepsMore(last));
  unknown.Add(last, "one too many");
  // The number is unknown all the same; only the name is not kept.
  EXPECT_TRUE(unknown.Contains(last));
  EXPECT_EQ(unknown.Name(last), absl::StrCat("method number ", last));
  // A name that is kept may be replaced; one that goes makes room.
  EXPECT_FALSE(unknown.KeepsMore(0));
  unknown.Add(0, "other");
  EXPECT_EQ(unknown.Name(0), "other");
  unknown.Erase(0);
  EXPECT_TRUE(unknown.KeepsMore(last));
}

}  // namespace
}  // namespace weft::internal::native
