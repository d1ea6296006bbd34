// The forms of a request on its way out, and which of them live as long as its call.
#include "weft/rpc/call/outgoing_request.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/protos/echo.pb.h"

namespace weft::internal {
namespace {

using Form = OutgoingRequest::Form;

class OutgoingRequestTest : public ::testing::Test {
 protected:
  OutgoingRequestTest() {
    // Long enough to be compressed.
    message_.set_text(std::string(2'000, 't'));
    bytes_ = message_.SerializeAsString();
    room_.resize(bytes_.size());
  }
  void KeepIn(OutgoingRequest& request) { request.KeepIn(room_.data(), request.Size()); }

  test::EchoRequest message_;
  std::string bytes_;
  std::string room_;
};

TEST_F(OutgoingRequestTest, IsTheCallersMessageAtFirst) {
  OutgoingRequest request(message_);
  EXPECT_EQ(request.form(), Form::kMessage);
  EXPECT_EQ(&request.message(), &message_);
  EXPECT_EQ(request.Size(), bytes_.size());
  EXPECT_EQ(request.shared(), nullptr);
  // The message is the caller's, who may change it when the start returns.
  EXPECT_FALSE(request.stays());
  request.SetStays();
  EXPECT_TRUE(request.stays());
}

TEST_F(OutgoingRequestTest, IsKeptInTheMemoryOfItsCall) {
  OutgoingRequest request(message_);
  KeepIn(request);
  // The caller's message may go: the bytes in the call's memory are what is sent.
  message_.Clear();
  EXPECT_EQ(request.form(), Form::kBytes);
  EXPECT_EQ(request.bytes(), bytes_);
  EXPECT_EQ(request.bytes().data(), room_.data());
  EXPECT_EQ(request.Size(), bytes_.size());
  EXPECT_TRUE(request.stays());
}

TEST_F(OutgoingRequestTest, IsSharedFromEitherFormOnce) {
  for (const bool kept : {false, true}) {
    OutgoingRequest request(message_);
    if (kept) KeepIn(request);
    ASSERT_TRUE(request.Share());
    EXPECT_EQ(request.form(), Form::kShared);
    EXPECT_EQ(request.bytes(), bytes_);
    EXPECT_EQ(request.Size(), bytes_.size());
    EXPECT_TRUE(request.stays());
    const auto shared = request.shared();
    ASSERT_TRUE(request.Share());
    ASSERT_TRUE(request.ShareToRepeat(Compression::kZstd));
    EXPECT_EQ(request.shared(), shared) << "neither serialized nor copied again";
    // Another attempt sends the same memory.
    OutgoingRequest other(message_);
    other.ShareWith(shared);
    EXPECT_EQ(other.bytes().data(), request.bytes().data());
  }
}

TEST_F(OutgoingRequestTest, IsRepeatedFromItsBytesUnlessTheyAreCompressed) {
  // Bytes can be sent again as they are; compressed ones would be compressed anew each time.
  OutgoingRequest plain(message_);
  KeepIn(plain);
  ASSERT_TRUE(plain.ShareToRepeat(Compression::kNone));
  EXPECT_EQ(plain.form(), Form::kBytes);
  ASSERT_TRUE(plain.ShareToRepeat(Compression::kZstd));
  EXPECT_EQ(plain.form(), Form::kShared);
  OutgoingRequest message(message_);
  message.SetStays();
  ASSERT_TRUE(message.ShareToRepeat(Compression::kNone));
  EXPECT_EQ(message.form(), Form::kShared) << "it would be serialized each time";
}

}  // namespace
}  // namespace weft::internal
