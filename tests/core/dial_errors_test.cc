// The words of a dial's errors, literally: they are what an operator reads.
#include "weft/core/dial_errors.h"

#include <chrono>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace weft::internal {
namespace {

constexpr Nanos kTook = std::chrono::milliseconds(3);

SocketAddress At(int last) { return *SocketAddress::Parse(absl::StrCat("127.0.0.", last, ":80")); }

std::string Text(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  return std::string(status.message());
}

TEST(DialErrors, NameEachAddressOnceAndTheTargetBehindThem) {
  DialErrors errors;
  errors.Begin("db1:80");
  // The first reason names the system call and the address, as a socket's error does; the second
  // names neither.
  errors.Add(At(1), "connect 127.0.0.1:80: Connection refused");
  errors.Add(At(2), "No route to host");
  EXPECT_EQ(Text(errors.AllFailed(kTook)),
            "connect: 127.0.0.1:80: Connection refused; 127.0.0.2:80: No route to host "
            "(to db1:80, after 3.0 ms)");
}

TEST(DialErrors, ATargetThatIsTheAddressIsNamedOnce) {
  DialErrors errors;
  errors.Begin("127.0.0.1:80");
  errors.Add(At(1), "Connection refused");
  EXPECT_EQ(Text(errors.AllFailed(kTook)),
            "connect: Connection refused (to 127.0.0.1:80, after 3.0 ms)");
}

TEST(DialErrors, CountTheReasonsThatAreNotNamed) {
  DialErrors errors;
  errors.Begin("db1:80");
  // Two of the six are more than the text names.
  for (int i = 1; i <= 6; ++i) errors.Add(At(i), "x");
  EXPECT_EQ(Text(errors.AllFailed(kTook)),
            "connect: 127.0.0.1:80: x; 127.0.0.2:80: x; 127.0.0.3:80: x; 127.0.0.4:80: x; "
            "and 2 more (to db1:80, after 3.0 ms)");
}

TEST(DialErrors, NoAnswerNamesThePhaseAndWhoWasAsked) {
  DialErrors errors;
  errors.Begin("db1:80");
  EXPECT_EQ(Text(errors.NoAnswer({}, kTook)), "resolve: no answer (to db1:80, after 3.0 ms)");
  errors.set_phase(DialErrors::Phase::kConnect);
  EXPECT_EQ(Text(errors.NoAnswer({At(1), At(2)}, kTook)),
            "connect: no answer from 127.0.0.1:80, 127.0.0.2:80 (to db1:80, after 3.0 ms)");
  errors.Add(At(3), "Connection refused");
  EXPECT_EQ(Text(errors.NoAnswer({At(1)}, kTook)),
            "connect: no answer from 127.0.0.1:80 (to db1:80, after 3.0 ms); before that: "
            "127.0.0.3:80: Connection refused");
  // A new dial: the reasons of the one before are gone.
  errors.Begin("127.0.0.1:80");
  errors.set_phase(DialErrors::Phase::kConnect);
  EXPECT_EQ(Text(errors.NoAnswer({At(1)}, kTook)),
            "connect: no answer (to 127.0.0.1:80, after 3.0 ms)");
}

}  // namespace
}  // namespace weft::internal
