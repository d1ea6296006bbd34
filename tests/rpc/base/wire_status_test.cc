// Status codes and details between this process and the wire.
#include "weft/rpc/base/wire_status.h"

#include <map>
#include <string>

#include <gtest/gtest.h>

#include "absl/strings/cord.h"

namespace weft::internal {
namespace {

std::map<std::string, std::string> PayloadsOf(const absl::Status& status) {
  std::map<std::string, std::string> payloads;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& value) {
    payloads[std::string(url)] = std::string(value);
  });
  return payloads;
}

absl::Status WithDetails() {
  absl::Status status = absl::NotFoundError("no such cat");
  status.SetPayload("type.googleapis.com/a", absl::Cord("one"));
  // More than 64 KiB: its length takes three bytes.
  status.SetPayload("type.googleapis.com/b", absl::Cord(std::string(70'000, '\0')));
  status.SetPayload("type.googleapis.com/c", absl::Cord());
  return status;
}

// The wire's numbers for ever: gRPC's.
constexpr std::pair<int, const char*> kCodes[] = {
    {0, "OK"},
    {1, "CANCELLED"},
    {2, "UNKNOWN"},
    {3, "INVALID_ARGUMENT"},
    {4, "DEADLINE_EXCEEDED"},
    {5, "NOT_FOUND"},
    {6, "ALREADY_EXISTS"},
    {7, "PERMISSION_DENIED"},
    {8, "RESOURCE_EXHAUSTED"},
    {9, "FAILED_PRECONDITION"},
    {10, "ABORTED"},
    {11, "OUT_OF_RANGE"},
    {12, "UNIMPLEMENTED"},
    {13, "INTERNAL"},
    {14, "UNAVAILABLE"},
    {15, "DATA_LOSS"},
    {16, "UNAUTHENTICATED"},
};

TEST(WireStatus, NumbersAreThoseOfGrpc) {
  for (const auto& [number, name] : kCodes) {
    const absl::StatusCode code = FromWireCode(static_cast<uint16_t>(number));
    EXPECT_EQ(StatusCodeName(code), name);
    EXPECT_EQ(ToWireCode(code), number);
  }
}

TEST(WireStatus, CodesOfLaterVersionsAreUnknown) {
  for (const uint16_t code : {uint16_t{17}, uint16_t{255}, uint16_t{256}, uint16_t{65'535}}) {
    EXPECT_EQ(FromWireCode(code), absl::StatusCode::kUnknown);
  }
}

TEST(WireStatus, DetailsComeBackAsTheyWere) {
  const absl::Status sent = WithDetails();
  absl::Status received(sent.code(), sent.message());
  SetStatusDetails(StatusDetails(sent), &received);
  // Payloads take part in the comparison.
  EXPECT_EQ(received, sent);
  EXPECT_EQ(StatusDetails(absl::InternalError("plain")), "");
}

TEST(WireStatus, DetailsStandOnTheWireAsRepeatedAny) {
  absl::Status status = absl::InternalError("");
  status.SetPayload("u/T", absl::Cord("v"));
  EXPECT_EQ(StatusDetails(status), "\x0A\x08\x0A\x03u/T\x12\x01v");
}

TEST(WireStatus, DamagedDetailsNeverHideTheMessage) {
  const std::string whole = StatusDetails(WithDetails());
  // Every byte near both ends; the middle is the one long detail, where samples are enough.
  for (size_t n = 0; n < whole.size(); n += n < 200 || n + 50 > whole.size() ? 1 : 997) {
    absl::Status status = absl::NotFoundError("no such cat");
    SetStatusDetails(std::string(whole, 0, n), &status);
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(status.message(), "no such cat");
    for (const auto& [url, value] : PayloadsOf(status)) {
      EXPECT_EQ(PayloadsOf(WithDetails()).at(url), value) << "half a detail, cut at " << n;
    }
  }
}

TEST(WireStatus, DetailsThatAreNoneAreLeftOut) {
  for (const std::string& bytes :
       {std::string("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 11),  // no tag
        std::string("\x0A\xFF\xFF\xFF\xFF\x0F", 6),                       // 4 GiB long
        std::string("\x0A\xFF\xFF\xFF\xFF\x07", 6),                       // 2 GiB - 1 long
        std::string("\x12\x01x", 3),                                      // another field
        std::string("\x0A\x03\x12\x01v", 5),                              // no type
        std::string("\x0A\x02\x0A\x05", 4),                               // its type is cut
        std::string("\0\0\0", 3)}) {
    absl::Status status = absl::InternalError("m");
    SetStatusDetails(bytes, &status);
    EXPECT_EQ(status, absl::InternalError("m"));
  }
}

TEST(WireStatus, ADamagedDetailLeavesTheOthers) {
  absl::Status status = absl::InternalError("m");
  SetStatusDetails(std::string("\x0A\x03\x12\x01v"             // no type
                               "\x0A\x08\x0A\x03u/T\x12\x01v"  // good
                               "\x0A\x7F",                     // cut
                               5 + 10 + 2),
                   &status);
  EXPECT_EQ(PayloadsOf(status), (std::map<std::string, std::string>{{"u/T", "v"}}));
}

TEST(WireStatus, AnnotateKeepsCodeAndDetails) {
  const absl::Status status = Annotate(WithDetails(), "call Cat/Find");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "call Cat/Find: no such cat");
  EXPECT_EQ(PayloadsOf(status), PayloadsOf(WithDetails()));
  EXPECT_TRUE(Annotate(absl::OkStatus(), "nothing").ok());
}

}  // namespace
}  // namespace weft::internal
