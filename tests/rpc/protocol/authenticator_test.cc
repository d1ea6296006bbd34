// The forms of functions that an Authenticator is made of, and that it is copied as a value.
#include "weft/rpc/protocol/authenticator.h"

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace weft {
namespace {

// Set as in ServerOptions: a designated initializer needs the implicit conversions.
struct Options {
  Authenticator authenticator = nullptr;
};

absl::StatusOr<std::string> Plain(std::string_view token, const std::string& peer) {
  return absl::StrCat("plain ", std::string(token), " ", peer);
}

std::string Ask(const Authenticator& authenticator) {
  const std::string peer = "here";
  TransportIdentity transport;
  transport.names = {"ann", "nan"};
  return authenticator({"token", peer, transport}).value_or("refused");
}

TEST(Authenticator, IsAFunctionOfTheWholeRequest) {
  const Options options{
      .authenticator = [](const AuthenticationRequest& asks) -> absl::StatusOr<std::string> {
        return absl::StrCat(std::string(asks.token), " ", asks.peer, " ",
                            std::string(asks.transport.first_name()));
      }};
  EXPECT_EQ(Ask(options.authenticator), "token here ann");
}

TEST(Authenticator, IsAFunctionOfTokenAndPeer) {
  const Options lambda{.authenticator = [](std::string_view token, const std::string& peer) {
    return absl::StrCat(std::string(token), " ", peer);
  }};
  EXPECT_EQ(Ask(lambda.authenticator), "token here");
  const Options plain{.authenticator = Plain};
  EXPECT_EQ(Ask(plain.authenticator), "plain token here");
}

TEST(Authenticator, MayBeCalledAsAFunctionOfTokenAndPeer) {
  const Authenticator authenticator = [](const AuthenticationRequest& asks) {
    return absl::StrCat(std::string(asks.token), " ", asks.transport.names.size());
  };
  EXPECT_EQ(authenticator("token", "here").value(), "token 0");
}

TEST(Authenticator, IsNullUnlessItHasAFunction) {
  EXPECT_TRUE(Options().authenticator == nullptr);
  EXPECT_FALSE(Authenticator());
  // An empty std::function must not become a function that throws when it is called.
  EXPECT_TRUE(Authenticator(Authenticator::OfToken()) == nullptr);
  EXPECT_TRUE(Authenticator(Authenticator::OfRequest()) == nullptr);
  Authenticator authenticator = Plain;
  EXPECT_TRUE(authenticator);
  EXPECT_TRUE(authenticator != nullptr);
  authenticator = nullptr;
  EXPECT_FALSE(authenticator);
}

TEST(Authenticator, IsCopiedAndMovedAsItIs) {
  Authenticator first = Plain;
  // The constructor for functions is a template, and would match this better than the copy's if it
  // took Authenticators at all.
  Authenticator copy(first);
  const Authenticator constant(first);
  const Authenticator of_constant(constant);
  const Authenticator moved(std::move(first));
  for (const Authenticator* each :
       std::initializer_list<const Authenticator*>{&copy, &constant, &of_constant, &moved}) {
    EXPECT_EQ(Ask(*each), "plain token here");
  }
  copy = Authenticator();
  EXPECT_FALSE(copy);
}

}  // namespace
}  // namespace weft
