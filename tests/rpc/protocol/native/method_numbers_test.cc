// The numbers that a side gives to methods, within its peer's limit and its own.
#include "weft/rpc/protocol/native/method_numbers.h"

#include <deque>
#include <string>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace weft::internal::native {
namespace {

constexpr MethodInfo kSay{"a.Service", "Say", "a.Service/Say"};
constexpr MethodInfo kAsk{"a.Service", "Ask", "a.Service/Ask"};
constexpr MethodInfo kTell{"a.Service", "Tell", "a.Service/Tell"};

// As "number" or, where the name goes with the call, "number named".
std::string Bind(MethodNumbers& numbers, const MethodInfo& method, size_t max_methods = 100) {
  const MethodNumbers::Bound bound = numbers.Bind(method, max_methods);
  return absl::StrCat(bound.number, bound.needs_name ? " named" : "");
}

TEST(MethodNumbers, NameAMethodOnceAndNumberThemInTheirOrder) {
  MethodNumbers numbers;
  EXPECT_EQ(Bind(numbers, kSay), "1 named");
  EXPECT_EQ(Bind(numbers, kSay), "1");
  EXPECT_EQ(Bind(numbers, kAsk), "2 named");
  EXPECT_EQ(Bind(numbers, kSay), "1");
  EXPECT_EQ(Bind(numbers, kAsk), "2");
  EXPECT_EQ(numbers.size(), 2u);
}

TEST(MethodNumbers, NameAMethodWithEachCallThatThePeerKeepsNoNumberFor) {
  MethodNumbers numbers;
  EXPECT_EQ(Bind(numbers, kSay, 2), "1 named");
  EXPECT_EQ(Bind(numbers, kAsk, 2), "2 named");
  EXPECT_EQ(Bind(numbers, kTell, 2), "0 named");
  EXPECT_EQ(Bind(numbers, kTell, 2), "0 named");
  EXPECT_EQ(Bind(numbers, kAsk, 2), "2");
  MethodNumbers none;
  EXPECT_EQ(Bind(none, kSay, 0), "0 named");
  EXPECT_EQ(Bind(none, kSay, 0), "0 named");
}

TEST(MethodNumbers, KeepATableOfTheirOwnLimitWhateverThePeerKeeps) {
  // Methods are told apart by their address, so copies of one are as good as others.
  std::deque<MethodInfo> methods(MethodNumbers::kMaxMethods + 1, kSay);
  MethodNumbers numbers;
  for (size_t i = 0; i < MethodNumbers::kMaxMethods; ++i) {
    EXPECT_EQ(Bind(numbers, methods[i], 65'535), absl::StrCat(i + 1, " named"));
  }
  EXPECT_EQ(Bind(numbers, methods.back(), 65'535), "0 named");
  EXPECT_EQ(Bind(numbers, methods.front(), 65'535), "1");
}

}  // namespace
}  // namespace weft::internal::native
