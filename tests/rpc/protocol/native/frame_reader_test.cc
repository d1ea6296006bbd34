// Headers and sections of every form, right and wrong. Bodies lie on the heap at their exact size,
// so that the address sanitizer sees a look beyond them.
#include "weft/rpc/protocol/native/frame_reader.h"

#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace weft::internal::native {
namespace {

constexpr size_t kLimit = 64 << 10;
// protobuf's limit.
constexpr size_t kMaxMessage = (size_t{1} << 31) - 1;

// The allowed form of each type of this version: its flags, and lengths that make sense in a
// header.
struct TypeRow {
  uint8_t type;
  uint8_t flags;
  bool may_be_empty;
  bool may_be_filled;
};
constexpr TypeRow kTypes[] = {
    {0x01, 0x5F, true, true},          // REQUEST; its sections are looked at later
    {0x02, 0x5F, true, true},          // RESPONSE
    {0x03, 0x02 | 0x80, false, true},  // DATA
    {0x04, 0, true, false},            // CANCEL
    {0x05, 0x80, true, true},          // WINDOW
    {0x09, 0, true, true},             // HEADERS
    {0x0A, 0xD7, true, true},          // MESSAGE
    {0x06, 0x80, true, false},         // PING
    {0x07, 0, true, true},             // GOAWAY
    {0x08, 0, true, false},            // GOAWAY_ACK
    {0x10, 0, true, true},             // HELLO
};

const TypeRow* RowOf(int type) {
  for (const TypeRow& row : kTypes) {
    if (row.type == type) return &row;
  }
  return nullptr;
}

FrameHeader HeaderOf(int type, uint8_t flags, uint32_t length) {
  return {length, static_cast<FrameType>(type), flags, 0, 1};
}

template <typename T>
std::string Number(T n) {
  return std::string(reinterpret_cast<const char*>(&n), sizeof n);
}

// Exactly these bytes on the heap, so that a look beyond them is seen.
class Exactly {
 public:
  explicit Exactly(std::string_view bytes) : bytes_(bytes.begin(), bytes.end()) {}
  operator std::string_view() const { return {bytes_.data(), bytes_.size()}; }  // NOLINT

 private:
  const std::vector<char> bytes_;
};

FrameError ReadRequestOf(uint8_t flags, std::string_view body, RequestFrame* out) {
  *out = RequestFrame();
  return FrameReader::ReadRequest(HeaderOf(1, flags, static_cast<uint32_t>(body.size())), body,
                                  out);
}

FrameError ReadResponseOf(uint8_t flags, uint16_t code, std::string_view body, ResponseFrame* out) {
  *out = ResponseFrame();
  FrameHeader header = HeaderOf(2, flags, static_cast<uint32_t>(body.size()));
  header.aux = code;
  return FrameReader::ReadResponse(header, body, out);
}

TEST(FrameReader, KnowsExactlyTheTypesOfThisVersion) {
  // One byte where bytes are allowed: a DATA frame without any would be at fault for that.
  for (int type = 0; type < 256; ++type) {
    const TypeRow* row = RowOf(type);
    const FrameError error =
        FrameReader::CheckHeader(HeaderOf(type, 0, row != nullptr && row->may_be_filled), kLimit);
    EXPECT_EQ(error, row != nullptr ? FrameError::kNone : FrameError::kUnknownType) << type;
  }
}

TEST(FrameReader, RefusesEveryReservedBitOfEveryType) {
  for (const TypeRow& row : kTypes) {
    for (int flags = 0; flags < 256; ++flags) {
      const FrameError error = FrameReader::CheckHeader(
          HeaderOf(row.type, static_cast<uint8_t>(flags), row.may_be_filled), kLimit);
      EXPECT_EQ(error, (flags & ~row.flags) == 0 ? FrameError::kNone : FrameError::kReservedBits)
          << "type " << int{row.type} << " flags " << flags;
    }
  }
}

TEST(FrameReader, ReadsTheAttachmentOfAStreamsMessage) {
  const auto read = [](uint8_t flags, const std::string& body, Payload* out) {
    *out = Payload();
    return FrameReader::ReadStreamMessage(HeaderOf(0x0A, flags, static_cast<uint32_t>(body.size())),
                                          body, out);
  };
  Payload payload;
  const std::string body = Number(uint32_t{3}) + "messageraw";
  ASSERT_EQ(read(kAttachment, body, &payload), FrameError::kNone);
  EXPECT_EQ(payload.attachment_size, 3u);
  // The attachment stands behind the message, and counts in the payload's bytes.
  EXPECT_EQ(payload.message_size(), 7u);
  EXPECT_EQ(payload.bytes, "messageraw");
  EXPECT_EQ(read(kAttachment, Number(uint32_t{11}) + "messageraw", &payload),
            FrameError::kBadMessageSize);
  // Too short for the attachment's size itself.
  EXPECT_EQ(read(kAttachment, "abc", &payload), FrameError::kBadSection);
  // A frame that is only an end has no sections.
  EXPECT_EQ(read(kEnd | kNoMessage, "", &payload), FrameError::kNone);
  for (const uint8_t section : {kMore, kCompressed, kAttachment}) {
    EXPECT_EQ(read(kEnd | kNoMessage | section, "", &payload), FrameError::kBadSection);
  }
}

TEST(FrameReader, TakesAClockInTheAnswerToAPingAlone) {
  for (uint32_t length = 0; length < 20; ++length) {
    // An answer carries nothing or eight bytes; a question carries nothing.
    EXPECT_EQ(FrameReader::CheckHeader(HeaderOf(0x06, 0x80, length), 65'536),
              length == 0 || length == 8 ? FrameError::kNone : FrameError::kBadSection);
    EXPECT_EQ(FrameReader::CheckHeader(HeaderOf(0x06, 0, length), 65'536),
              length == 0 ? FrameError::kNone : FrameError::kBadSection);
  }
}

TEST(FrameReader, RefusesLengthBeyondLimit) {
  for (const size_t limit : {kLimit, size_t{32} << 10, size_t{16} << 20}) {
    for (const TypeRow& row : kTypes) {
      // The limit is judged before the question if the type may have bytes: beyond it the error is
      // kTooLong for every type.
      const FrameError fits = row.may_be_filled ? FrameError::kNone : FrameError::kBadSection;
      for (const uint32_t length : {uint32_t(limit) - 1, uint32_t(limit)}) {
        EXPECT_EQ(FrameReader::CheckHeader(HeaderOf(row.type, 0, length), limit), fits);
      }
      for (const uint32_t length : {uint32_t(limit) + 1, uint32_t{1} << 31, UINT32_MAX}) {
        EXPECT_EQ(FrameReader::CheckHeader(HeaderOf(row.type, 0, length), limit),
                  FrameError::kTooLong);
      }
    }
  }
}

TEST(FrameReader, RefusesBytesWhereATypeHasNoneAndNoneWhereItHasSome) {
  for (const TypeRow& row : kTypes) {
    EXPECT_EQ(FrameReader::CheckHeader(HeaderOf(row.type, 0, 0), kLimit),
              row.may_be_empty ? FrameError::kNone : FrameError::kBadSection);
    EXPECT_EQ(FrameReader::CheckHeader(HeaderOf(row.type, 0, 1), kLimit),
              row.may_be_filled ? FrameError::kNone : FrameError::kBadSection);
  }
}

TEST(FrameReader, RefusesCallNumbersWithTheHighestBit) {
  for (const TypeRow& row : kTypes) {
    FrameHeader header = HeaderOf(row.type, 0, row.may_be_filled);
    header.id = uint64_t{1} << 63 | 5;
    // The other types' numbers are of no call, and may be any.
    const bool numbers_a_call = row.type <= 0x05 || row.type == 0x09 || row.type == 0x0A;
    EXPECT_EQ(FrameReader::CheckHeader(header, kLimit),
              numbers_a_call ? FrameError::kBadCallNumber : FrameError::kNone)
        << int{row.type};
    header.id = (uint64_t{1} << 63) - 1;
    EXPECT_EQ(FrameReader::CheckHeader(header, kLimit), FrameError::kNone);
  }
}

TEST(FrameReader, ReadsBackTheHeaderThatWasWritten) {
  // Each byte is another one, so that swapped bytes and fields are seen.
  const FrameHeader header{0x01020304, FrameType::kResponse, 0x4B, 0x0506, 0x0708090A0B0C0D0E};
  char bytes[kHeaderSize];
  EXPECT_EQ(WriteHeader(bytes, header), bytes + kHeaderSize);
  EXPECT_EQ(std::string(bytes, kHeaderSize),
            std::string("\x04\x03\x02\x01\x02\x4B\x06\x05\x0E\x0D\x0C\x0B\x0A\x09\x08\x07", 16));
  const FrameHeader read = ReadHeader(bytes);
  EXPECT_EQ(read.length, header.length);
  EXPECT_EQ(read.type, header.type);
  EXPECT_EQ(read.flags, header.flags);
  EXPECT_EQ(read.aux, header.aux);
  EXPECT_EQ(read.id, header.id);
}

// ---- Requests

TEST(FrameReader, FindsTheSectionsOfARequest) {
  RequestFrame frame;
  const Exactly body(Number<uint64_t>(1'500) + Number<uint16_t>(3) + "a/b" + Number<uint32_t>(4) +
                     "meta" + Number<uint32_t>(100) + "hello");
  ASSERT_EQ(ReadRequestOf(kEnd | kNamed | kMetadata | kMore, body, &frame), FrameError::kNone);
  EXPECT_EQ(frame.timeout_us, 1'500u);
  EXPECT_EQ(frame.method_name, "a/b");
  EXPECT_EQ(frame.metadata, "meta");
  EXPECT_EQ(frame.payload.whole_size, 100u);
  EXPECT_EQ(frame.payload.bytes, "hello");
}

TEST(FrameReader, ReadsARequestOfNothing) {
  RequestFrame frame;
  ASSERT_EQ(ReadRequestOf(kEnd, Exactly(Number<uint64_t>(0)), &frame), FrameError::kNone);
  EXPECT_EQ(frame.timeout_us, 0u);
  EXPECT_EQ(frame.payload.bytes, "");
  EXPECT_EQ(frame.payload.whole_size, 0u);
}

TEST(FrameReader, RefusesARequestTruncatedInsideItsSectionsAtEveryByte) {
  // Each section alone, and all of them together.
  for (const int flags : {0, int{kNamed}, int{kMetadata}, int{kMore}, kNamed | kMetadata | kMore}) {
    std::string body = Number<uint64_t>(1);
    if (flags & kNamed) body += Number<uint16_t>(3) + "a/b";
    if (flags & kMetadata) body += Number<uint32_t>(5) + "meta!";
    if (flags & kMore) body += Number<uint32_t>(1'000);
    RequestFrame frame;
    for (size_t n = 0; n < body.size(); ++n) {
      EXPECT_EQ(
          ReadRequestOf(static_cast<uint8_t>(kEnd | flags), Exactly(body.substr(0, n)), &frame),
          FrameError::kBadSection)
          << flags << " cut at " << n;
    }
    EXPECT_EQ(ReadRequestOf(static_cast<uint8_t>(kEnd | flags), Exactly(body), &frame),
              FrameError::kNone);
  }
}

TEST(FrameReader, RefusesSectionsThatRunPastTheEnd) {
  RequestFrame request;
  ResponseFrame response;
  // One byte too many, and sizes that a sum or a signed number would wrap.
  for (const uint16_t size : {uint16_t{2}, uint16_t{3}, uint16_t{0x7FFF}, uint16_t{0xFFFF}}) {
    EXPECT_EQ(
        ReadRequestOf(kEnd | kNamed, Exactly(Number<uint64_t>(1) + Number(size) + "x"), &request),
        FrameError::kBadSection);
  }
  for (const uint32_t size : {2u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu}) {
    EXPECT_EQ(ReadRequestOf(kEnd | kMetadata, Exactly(Number<uint64_t>(1) + Number(size) + "x"),
                            &request),
              FrameError::kBadSection);
    EXPECT_EQ(ReadResponseOf(kEnd | kMetadata, 0, Exactly(Number<uint32_t>(1) + Number(size) + "x"),
                             &response),
              FrameError::kBadSection);
    EXPECT_EQ(ReadResponseOf(kEnd, 5, Exactly(Number<uint32_t>(1) + Number(size) + "x"), &response),
              FrameError::kBadSection);
  }
}

TEST(FrameReader, RefusesANameOfNothing) {
  RequestFrame frame;
  EXPECT_EQ(ReadRequestOf(kEnd | kNamed, Exactly(Number<uint64_t>(1) + Number<uint16_t>(0) + "x"),
                          &frame),
            FrameError::kBadSection);
}

TEST(FrameReader, RefusesAWholeSizeThatCannotBe) {
  struct Row {
    uint64_t whole;
    size_t part;
    FrameError error;
  };
  for (const Row& row :
       {Row{0, 0, FrameError::kBadMessageSize}, Row{1, 0, FrameError::kNone},
        Row{5, 5, FrameError::kBadMessageSize}, Row{5, 6, FrameError::kBadMessageSize},
        Row{5, 4, FrameError::kNone}, Row{kMaxMessage, 4, FrameError::kNone},
        Row{kMaxMessage + 1, 4, FrameError::kBadMessageSize},
        Row{UINT32_MAX, 4, FrameError::kBadMessageSize}}) {
    const std::string message(row.part, 'm');
    RequestFrame request;
    EXPECT_EQ(ReadRequestOf(kEnd | kMore,
                            Exactly(Number<uint64_t>(0) + Number(uint32_t(row.whole)) + message),
                            &request),
              row.error)
        << row.whole << " " << row.part;
    ResponseFrame response;
    EXPECT_EQ(ReadResponseOf(kEnd | kMore, 0,
                             Exactly(Number<uint32_t>(0) + Number(uint32_t(row.whole)) + message),
                             &response),
              row.error)
        << row.whole << " " << row.part;
  }
}

// ---- Responses

TEST(FrameReader, FindsTheSectionsOfAResponse) {
  ResponseFrame frame;
  const Exactly body(Number<uint32_t>(77) + Number<uint32_t>(4) + "meta" + Number<uint32_t>(100) +
                     "hello");
  ASSERT_EQ(ReadResponseOf(kEnd | kMetadata | kMore, 0, body, &frame), FrameError::kNone);
  EXPECT_EQ(frame.handler_us, 77u);
  EXPECT_EQ(frame.metadata, "meta");
  EXPECT_EQ(frame.payload.whole_size, 100u);
  EXPECT_EQ(frame.payload.bytes, "hello");
  EXPECT_EQ(frame.error_message, "");
}

TEST(FrameReader, FindsTheSectionsOfAnError) {
  ResponseFrame frame;
  const Exactly body(Number<uint32_t>(77) + Number<uint32_t>(4) + "meta" + Number<uint32_t>(3) +
                     "why" + "details");
  ASSERT_EQ(ReadResponseOf(kEnd | kMetadata | kNotExecuted, 5, body, &frame), FrameError::kNone);
  EXPECT_EQ(frame.metadata, "meta");
  EXPECT_EQ(frame.error_message, "why");
  EXPECT_EQ(frame.error_details, "details");
  EXPECT_EQ(frame.payload.bytes, "");
}

TEST(FrameReader, RefusesAResponseTruncatedInsideItsSectionsAtEveryByte) {
  struct Row {
    uint16_t code;
    uint8_t flags;
    std::string body;
  };
  for (const Row& row :
       {Row{0, 0, Number<uint32_t>(1)},
        Row{0, kMetadata | kMore,
            Number<uint32_t>(1) + Number<uint32_t>(5) + "meta!" + Number<uint32_t>(1'000)},
        Row{13, kMetadata,
            Number<uint32_t>(1) + Number<uint32_t>(5) + "meta!" + Number<uint32_t>(3) + "why"}}) {
    ResponseFrame frame;
    for (size_t n = 0; n < row.body.size(); ++n) {
      EXPECT_EQ(ReadResponseOf(kEnd | row.flags, row.code, Exactly(row.body.substr(0, n)), &frame),
                FrameError::kBadSection)
          << row.code << " cut at " << n;
    }
    EXPECT_EQ(ReadResponseOf(kEnd | row.flags, row.code, Exactly(row.body), &frame),
              FrameError::kNone);
  }
}

TEST(FrameReader, RefusesAnErrorInPieces) {
  ResponseFrame frame;
  EXPECT_EQ(
      ReadResponseOf(kEnd | kMore, 5, Exactly(Number<uint32_t>(0) + Number<uint32_t>(0)), &frame),
      FrameError::kBadSection);
}

TEST(FrameReader, DescribesEveryError) {
  constexpr int kLast = static_cast<int>(FrameError::kNoCodec);
  std::set<std::string> texts;
  // Two errors with one text would leave a log's reader guessing.
  for (int e = 0; e <= kLast; ++e) {
    const std::string text(FrameReader::Describe(static_cast<FrameError>(e)));
    EXPECT_FALSE(text.empty()) << e;
    EXPECT_TRUE(texts.insert(text).second) << text;
  }
  // An error that is added behind the last one has to be looked at here, too.
  EXPECT_EQ(FrameReader::Describe(static_cast<FrameError>(kLast + 1)), "");
}

TEST(FrameReader, SaysThatAWindowOfZeroAddsNothing) {
  uint32_t bytes = 0;
  EXPECT_EQ(FrameReader::ReadWindow(std::string("\x01\0\0\0", 4), &bytes), FrameError::kNone);
  EXPECT_EQ(bytes, 1u);
  EXPECT_EQ(FrameReader::ReadWindow(std::string(4, '\0'), &bytes), FrameError::kNoCredit);
  EXPECT_EQ(FrameReader::Describe(FrameError::kNoCredit), "credit of 0 bytes");
  EXPECT_EQ(FrameReader::ReadWindow(std::string(3, '\1'), &bytes), FrameError::kBadSection);
  EXPECT_EQ(FrameReader::ReadWindow(std::string(5, '\1'), &bytes), FrameError::kBadSection);
}

TEST(FrameReader, RefusesACompressedMessageWithoutACodec) {
  // Behind the timeout, codec 0 and 5 bytes inflated. "Not compressed" is said by the missing flag
  // alone.
  const std::string body = std::string(8, '\0') + std::string("\0\x05\0\0\0", 5) + "bytes";
  RequestFrame request;
  EXPECT_EQ(
      FrameReader::ReadRequest({0, FrameType::kRequest, kEnd | kCompressed, 1, 1}, body, &request),
      FrameError::kNoCodec);
  Payload payload;
  EXPECT_EQ(FrameReader::ReadStreamMessage({0, FrameType::kMessage, kCompressed, 0, 1},
                                           body.substr(8), &payload),
            FrameError::kNoCodec);
}

}  // namespace
}  // namespace weft::internal::native
