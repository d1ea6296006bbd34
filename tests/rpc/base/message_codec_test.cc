// Messages cut into pieces must give the bytes that protobuf gives, whatever their sizes. Pieces
// that refer to a message are told from copies by their addresses.
#include "weft/rpc/base/message_codec.h"

#include <string>
#include <vector>

#include <google/protobuf/io/coded_stream.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/protos/echo.pb.h"
#include "tests/protos/register.pb.h"

// protobuf lets only this friend of its own set the default of the process. None sets it back.
namespace google::protobuf::internal {
void MapTestForceDeterministic() { io::CodedOutputStream::SetDefaultSerializationDeterministic(); }
}  // namespace google::protobuf::internal

namespace weft::internal {
namespace {

std::vector<MessagePiece> PiecesOf(const google::protobuf::MessageLite& message, size_t size,
                                   bool share) {
  std::vector<MessagePiece> pieces;
  EXPECT_TRUE(MessageCodec::Pieces(message, size, share, &pieces));
  return pieces;
}

using test::EchoRequest;

std::string Joined(const std::vector<MessagePiece>& pieces) {
  std::string bytes;
  for (const MessagePiece& piece : pieces) bytes.append(piece.data, piece.size);
  return bytes;
}

std::string Written(const google::protobuf::MessageLite& message) {
  std::string bytes(MessageCodec::ByteSize(message), '\0');
  EXPECT_EQ(MessageCodec::WriteTo(message, bytes.data()), bytes.data() + bytes.size());
  return bytes;
}

// True if the bytes of `piece` are those of `field` itself, not a copy.
bool IsPartOf(const MessagePiece& piece, const std::string& field) {
  return piece.data >= field.data() && piece.data + piece.size <= field.data() + field.size();
}

void ExpectSameBytes(const EchoRequest& message, const std::string& what) {
  const std::string expected = message.SerializeAsString();
  EXPECT_EQ(Written(message), expected) << what;
  for (const bool share : {false, true}) {
    const size_t size = MessageCodec::ByteSize(message);
    const std::vector<MessagePiece> pieces = PiecesOf(message, size, share);
    EXPECT_EQ(Joined(pieces), expected) << what << (share ? ", shared" : ", copied");
    for (const MessagePiece& piece : pieces) {
      EXPECT_GT(piece.size, 0u) << what;
      if (piece.block) {
        EXPECT_GE(piece.data, piece.block.get()->data()) << what;
        EXPECT_LE(piece.data + piece.size, piece.block.get()->data() + piece.block->capacity())
            << what;
      } else {
        // A piece without a block refers to the message, and only large fields are worth a
        // reference.
        EXPECT_TRUE(share) << what;
        EXPECT_GE(piece.size, MessageCodec::kShareFrom) << what;
      }
    }
  }
}

std::vector<size_t> SizesAroundTheBorders() {
  std::vector<size_t> sizes = {0, 1, 127, 128};
  for (const size_t border : {size_t{4} << 10, MessageCodec::kShareFrom, size_t{32} << 10,
                              MessageCodec::kBlock, 2 * MessageCodec::kBlock, size_t{1} << 20}) {
    // A field's tag and length take a few bytes before it, so the border is met up to so much
    // earlier.
    for (size_t n = border - 12; n <= border + 3; ++n) sizes.push_back(n);
  }
  return sizes;
}

TEST(MessageCodec, WritesOneFieldOfAnySizeAsProtobufDoes) {
  for (const size_t size : SizesAroundTheBorders()) {
    EchoRequest message;
    message.set_payload(std::string(size, 'p'));
    ExpectSameBytes(message, "payload of " + std::to_string(size));
  }
}

TEST(MessageCodec, WritesSmallFieldsBetweenLargeOnes) {
  for (const size_t size : SizesAroundTheBorders()) {
    EchoRequest message;
    message.set_payload(std::string(size, 'p'));
    message.set_text(std::string(size / 2, 't'));
    // A negative number takes ten bytes, the longest varint.
    message.set_number(-1);
    for (int i = 0; i < 20; ++i) message.add_words(std::string(static_cast<size_t>(i * i), 'w'));
    message.add_words(std::string(size, 'x'));
    message.add_words("the end");
    ExpectSameBytes(message, "fields of " + std::to_string(size));
  }
}

TEST(MessageCodec, WritesManySmallFieldsThatFillSeveralBlocks) {
  for (const size_t word : {size_t{0}, size_t{1}, size_t{13}, size_t{1'000}, size_t{5'000}}) {
    EchoRequest message;
    // Tag and length take two bytes, so the message fills about five blocks.
    for (size_t i = 0; i * (word + 2) < 300'000; ++i) message.add_words(std::string(word, 'w'));
    ExpectSameBytes(message, "words of " + std::to_string(word));
  }
}

TEST(MessageCodec, WritesAnEmptyMessageAsNothing) {
  const EchoRequest message;
  EXPECT_EQ(MessageCodec::ByteSize(message), 0u);
  EXPECT_TRUE(PiecesOf(message, 0, true).empty());
  EXPECT_TRUE(PiecesOf(message, 0, false).empty());
}

TEST(MessageCodec, ReferencesLargeFieldsOnlyWhenTheyMayBeShared) {
  EchoRequest message;
  message.set_payload(std::string(MessageCodec::kShareFrom, 'p'));
  // One byte too small for a reference.
  message.set_text(std::string(MessageCodec::kShareFrom - 1, 't'));
  const size_t size = MessageCodec::ByteSize(message);
  int referenced = 0;
  for (const MessagePiece& piece : PiecesOf(message, size, true)) {
    if (piece.block) {
      EXPECT_FALSE(IsPartOf(piece, message.payload()) || IsPartOf(piece, message.text()));
    } else {
      EXPECT_TRUE(IsPartOf(piece, message.payload()));
      ++referenced;
    }
  }
  EXPECT_EQ(referenced, 1);
  for (const MessagePiece& piece : PiecesOf(message, size, false)) {
    EXPECT_TRUE(piece.block);
    EXPECT_FALSE(IsPartOf(piece, message.payload()));
  }
}

TEST(MessageCodec, CopiedPiecesOutliveTheirMessage) {
  std::vector<MessagePiece> pieces;
  std::string expected;
  {
    EchoRequest message;
    message.set_payload(std::string(200'000, 'p'));
    expected = message.SerializeAsString();
    pieces = PiecesOf(message, MessageCodec::ByteSize(message), false);
  }
  EXPECT_EQ(Joined(pieces), expected);
}

TEST(MessageCodec, KeepsToTheOrderOfMapsThatTheProcessHasChosen) {
  test::RegisterWrite message;
  // So many keys hardly ever lie in order by chance.
  for (int i = 0; i < 60; ++i) (*message.mutable_notes())[absl::StrCat("note", i)] = "text";
  google::protobuf::internal::MapTestForceDeterministic();
  const std::string in_order = message.SerializeAsString();
  EXPECT_LT(in_order.find("note1"), in_order.find("note2"));
  EXPECT_EQ(Written(message), in_order);
  EXPECT_EQ(Joined(PiecesOf(message, MessageCodec::ByteSize(message), false)), in_order);
}

}  // namespace
}  // namespace weft::internal
