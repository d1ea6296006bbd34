// The texts of errors that several parts of the protocol share, word by word.
#include "weft/rpc/protocol/native/errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::internal::native {
namespace {

using ::testing::HasSubstr;

TEST(NativeErrors, NameSizeLimitAndSetting) {
  EXPECT_EQ(Errors::TooLarge("the request", 9, 8, "max_message_bytes of the server"),
            absl::ResourceExhaustedError("the request of 9 bytes is over the limit of 8 "
                                         "(max_message_bytes of the server)"));
}

TEST(NativeErrors, NameTheSideWhoseOutputIsFull) {
  EXPECT_EQ(Errors::OutputFull(Side::kClient, "channel", 100, 9, 104),
            absl::ResourceExhaustedError(
                "client side: 100 bytes wait to be written, with the request's 9 "
                "more than the limit of 104 (max_output_bytes of the channel)"));
  EXPECT_EQ(
      Errors::OutputFull(Side::kServer, "server", 100, 9, 104),
      absl::ResourceExhaustedError("server side: 100 bytes wait to be written, with the reply's 9 "
                                   "more than the limit of 104 (max_output_bytes of the server)"));
}

// The options are those of the end, whoever calls whom over the connection.
TEST(NativeErrors, NameTheOwnerOfALimitByWhoHasDialled) {
  for (const Side side : {Side::kClient, Side::kServer}) {
    EXPECT_EQ(Errors::OwnerOf(ConnectionEnd::kDialled, side), "channel");
    EXPECT_EQ(Errors::OwnerAtPeer(ConnectionEnd::kDialled, side), "server");
    EXPECT_EQ(Errors::OwnerOf(ConnectionEnd::kAccepted, side), "server");
    EXPECT_EQ(Errors::OwnerAtPeer(ConnectionEnd::kAccepted, side), "channel");
  }
  // Nodes have the same options at both ends, so the direction of the call names them.
  EXPECT_EQ(Errors::OwnerOf(ConnectionEnd::kNode, Side::kClient), "calling node");
  EXPECT_EQ(Errors::OwnerAtPeer(ConnectionEnd::kNode, Side::kClient), "called node");
  EXPECT_EQ(Errors::OwnerOf(ConnectionEnd::kNode, Side::kServer), "called node");
  EXPECT_EQ(Errors::OwnerAtPeer(ConnectionEnd::kNode, Side::kServer), "calling node");
}

TEST(NativeErrors, GiveTheLimitOfMessagesItsOwner) {
  SessionLimits limits;
  limits.max_message_bytes = 9;
  const MessageLimit limit = Errors::MaxMessage(limits, ConnectionEnd::kNode, Side::kServer);
  EXPECT_EQ(limit.bytes, 9u);
  EXPECT_EQ(limit.Setting(), "max_message_bytes of the called node");
}

TEST(NativeErrors, ShowTheHeaderOfABrokenFrame) {
  // The limit is told only where the length is the fault.
  const FrameHeader header{70'000, FrameType::kRequest, 0x81, 0, 1};
  EXPECT_EQ(Errors::BrokenFrame(FrameError::kReservedBits, header, 65'536, ConnectionEnd::kNode),
            std::string(FrameReader::Describe(FrameError::kReservedBits)) +
                " (type 0x01, flags 0x81, length 70000)");
}

TEST(NativeErrors, NameTheOwnerOfTheLimitOfFrames) {
  const auto owned = [](ConnectionEnd end, FrameType type, uint8_t flags) {
    return Errors::BrokenFrame(FrameError::kTooLong, {70'000, type, flags, 0, 1}, 65'536, end);
  };
  EXPECT_EQ(owned(ConnectionEnd::kAccepted, FrameType::kRequest, 0x01),
            std::string(FrameReader::Describe(FrameError::kTooLong)) +
                " (type 0x01, flags 0x01, length 70000, limit 65536, "
                "max_frame_bytes of the server)");
  EXPECT_THAT(owned(ConnectionEnd::kDialled, FrameType::kRequest, 0),
              HasSubstr("max_frame_bytes of the channel)"));
  for (const FrameType type : {FrameType::kRequest, FrameType::kData, FrameType::kMessage}) {
    EXPECT_THAT(owned(ConnectionEnd::kNode, type, 0), HasSubstr("of the called node)"));
  }
  EXPECT_THAT(owned(ConnectionEnd::kNode, FrameType::kResponse, 0),
              HasSubstr("of the calling node)"));
  EXPECT_THAT(owned(ConnectionEnd::kNode, FrameType::kHeaders, 0),
              HasSubstr("of the calling node)"));
  for (const FrameType type : {FrameType::kData, FrameType::kMessage}) {
    EXPECT_THAT(owned(ConnectionEnd::kNode, type, kReply), HasSubstr("of the calling node)"));
  }
}

TEST(NativeErrors, SayWhoseConnectionWasClosedAndWhy) {
  EXPECT_EQ(Errors::Closed("a second Hello"),
            absl::UnavailableError("connection closed: a second Hello"));
}

}  // namespace
}  // namespace weft::internal::native
