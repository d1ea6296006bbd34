// The table of a peer's method numbers: what each stands for, and what it takes of the account.
#include "weft/rpc/protocol/native/bound_methods.h"

#include <string>

#include <gtest/gtest.h>

namespace weft::internal::native {
namespace {

class BoundMethodsTest : public testing::Test {
 protected:
  // The name that the number stands for, where it is unknown; "" where it is not.
  std::string Unknown(uint16_t number) {
    std::string name;
    return methods_.FindUnknown(number, &name) ? name : "";
  }

  InputAccount account_{InputBudgets()};
  BoundMethod say_, ask_;
  BoundMethods methods_;
};

TEST_F(BoundMethodsTest, AreFoundByTheirNumbers) {
  EXPECT_EQ(methods_.Find(1), nullptr);
  EXPECT_TRUE(methods_.Bind(3, &say_, "a.B/Say", account_).ok());
  EXPECT_TRUE(methods_.Bind(1, &ask_, "a.B/Ask", account_).ok());
  EXPECT_EQ(methods_.Find(0), nullptr);
  EXPECT_EQ(methods_.Find(1), &ask_);
  EXPECT_EQ(methods_.Find(2), nullptr);
  EXPECT_EQ(methods_.Find(3), &say_);
  EXPECT_EQ(methods_.Find(4), nullptr);
  EXPECT_EQ(Unknown(2), "");
  EXPECT_EQ(Unknown(3), "");
}

TEST_F(BoundMethodsTest, StandForTheNameThatTheyWereLastBoundTo) {
  EXPECT_TRUE(methods_.Bind(7, &say_, "a.B/Say", account_).ok());
  EXPECT_TRUE(methods_.Bind(7, nullptr, "a.B/Gone", account_).ok());
  EXPECT_EQ(methods_.Find(7), nullptr);
  EXPECT_EQ(Unknown(7), "a.B/Gone");
  EXPECT_TRUE(methods_.Bind(7, &ask_, "a.B/Ask", account_).ok());
  EXPECT_EQ(methods_.Find(7), &ask_);
  EXPECT_EQ(Unknown(7), "");
}

TEST_F(BoundMethodsTest, CountEachUnknownNameThatTheyKeep) {
  EXPECT_TRUE(methods_.Bind(1, &say_, "a.B/Say", account_).ok());
  EXPECT_EQ(account_.held(), 0u);
  EXPECT_TRUE(methods_.Bind(2, nullptr, "x", account_).ok());
  // The number keeps one name, and counts once.
  EXPECT_TRUE(methods_.Bind(2, nullptr, "y", account_).ok());
  // A name counts as the longest that is kept, however short it is.
  EXPECT_EQ(account_.held(), UnknownMethods::kMaxNameBytes);
  EXPECT_TRUE(methods_.Bind(3, nullptr, "z", account_).ok());
  EXPECT_EQ(account_.held(), 2 * UnknownMethods::kMaxNameBytes);
}

}  // namespace
}  // namespace weft::internal::native
