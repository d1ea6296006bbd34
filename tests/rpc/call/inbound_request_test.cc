// The bytes of an inbound request, small and large, and how long they keep a block of the input.
#include "weft/rpc/call/inbound_request.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/protos/echo.pb.h"

namespace weft::test {

using namespace internal;

namespace {

constexpr char kMethod[] = "weft.test.EchoService/Echo";

std::string BytesOf(const std::string& text) {
  EchoRequest message;
  message.set_text(text);
  return message.SerializeAsString();
}

// In a block of the input, as they come.
BlockRef BlockOf(const std::string& bytes) {
  BlockRef block = BlockRef::TryNew(bytes.size());
  bytes.copy(block->data(), bytes.size());
  return block;
}

TEST(InboundRequest, ThatIsSmallKeepsNoBlock) {
  const std::string bytes = BytesOf("few");
  InboundRequest request;
  {
    const BlockRef block = BlockOf(bytes);
    // The block goes at the end of this scope; the request has copied the bytes.
    request.Set(block, block->data(), bytes.size());
  }
  EXPECT_EQ(request.kept_input(), 0u);
  EchoRequest message;
  ASSERT_EQ(request.Parse(kMethod, &message), absl::OkStatus());
  EXPECT_EQ(message.text(), "few");
}

TEST(InboundRequest, ThatIsLargeKeepsItsBlockUntilItIsParsedOrLetsGo) {
  // With the field's tag and length, a little more than is copied at once.
  const std::string text(InboundRequest::kSmall, 'x');
  const std::string bytes = BytesOf(text);
  BlockRef block = BlockOf(bytes);
  InboundRequest request;
  request.Set(block, block->data(), bytes.size());
  EXPECT_EQ(request.kept_input(), bytes.size());
  request.LetGoOfInput();
  // The input's memory is used again. A request that still looked there would read these.
  std::string(bytes.size(), '?').copy(block->data(), bytes.size());
  EchoRequest message;
  ASSERT_EQ(request.Parse(kMethod, &message), absl::OkStatus());
  EXPECT_EQ(message.text(), text);
  EXPECT_EQ(request.kept_input(), 0u);
}

TEST(InboundRequest, HandsItsAttachmentOutWhenItIsParsed) {
  const std::string message_bytes = BytesOf("with");
  const std::string bytes = message_bytes + "attached";
  InboundRequest request;
  request.Set(BlockRef(), bytes.data(), bytes.size());
  // The last 8 bytes are the attachment.
  request.SetPayload(Compression::kNone, 0, 8, /*max_message=*/{1000, "server"}, nullptr);
  const auto whole = request.MessageBytes(kMethod);
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(std::string(*whole), message_bytes);
  EchoRequest message;
  ASSERT_EQ(request.Parse(kMethod, &message), absl::OkStatus());
  EXPECT_EQ(message.text(), "with");
  EXPECT_EQ(std::string(request.attachment()), "attached");
  request.Reset();
  EXPECT_TRUE(request.attachment().empty());
  EXPECT_EQ(request.size(), 0u);
}

TEST(InboundRequest, ThatIsNoMessageNamesItsMethod) {
  InboundRequest request;
  request.Set(BlockRef(), "\xff\xff\xff", 3);
  EchoRequest message;
  const absl::Status s = request.Parse(kMethod, &message);
  EXPECT_EQ(s.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(s.message()), testing::HasSubstr(kMethod));
}

TEST(InboundRequest, ThatInflatesToTooMuchNamesTheOwnerOfTheLimit) {
  for (const bool parses : {true, false}) {
    InboundRequest request;
    request.Set(BlockRef(), "compressed", 10);
    request.SetPayload(Compression::kGzip, 1001, 0, /*max_message=*/{1000, "called node"}, nullptr);
    EchoRequest message;
    const absl::Status s =
        parses ? request.Parse(kMethod, &message) : request.MessageBytes(kMethod).status();
    EXPECT_EQ(s, absl::ResourceExhaustedError(absl::StrCat(
                     kMethod,
                     ": the request: gzip: 10 bytes declared to inflate to 1001: the limit "
                     "is 1000 (max_message_bytes of the called node)")));
  }
}

}  // namespace
}  // namespace weft::test
