// The frames of a FrameWriter, over an output queue whose transport keeps what it is given: small
// ones compared with bytes put together by hand, large ones cut and read back.
#include "weft/rpc/protocol/native/frame_writer.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/protos/echo.pb.h"
#include "tests/support/scripted_transport.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/protocol/native/frame_reader.h"
#include "weft/rpc/protocol/native/handshake.h"

namespace weft::internal::native {
namespace {

std::vector<MessagePiece> PiecesOf(const google::protobuf::MessageLite& message, size_t size,
                                   bool share) {
  std::vector<MessagePiece> pieces;
  EXPECT_TRUE(MessageCodec::Pieces(message, size, share, &pieces));
  return pieces;
}

using test::EchoRequest;

// An output queue whose bytes can be looked at.
class Written {
 public:
  // Returns the bytes that `write` wrote.
  std::string Of(size_t max_frame, const std::function<void(FrameWriter&)>& write) {
    const size_t before = record_->written().size();
    bool claimed;
    {
      MutexLock lock(queue_.mutex());
      FrameWriter writer(queue_, max_frame);
      write(writer);
      claimed = queue_.Claim();
    }
    EXPECT_TRUE(claimed);
    EXPECT_EQ(queue_.Flush(), OutputQueue::Flushed::kAll);
    return record_->written().substr(before);
  }
  OutputQueue& queue() { return queue_; }

 private:
  const std::shared_ptr<WriteRecord> record_ = std::make_shared<WriteRecord>();
  OutputQueue queue_{std::make_unique<ScriptedTransport>(record_)};
};

struct Frame {
  FrameHeader header;
  std::string body;
};

std::vector<Frame> Cut(const std::string& bytes, size_t max_frame) {
  std::vector<Frame> frames;
  for (size_t at = 0; at < bytes.size();) {
    EXPECT_GE(bytes.size() - at, kHeaderSize);
    const FrameHeader header = ReadHeader(bytes.data() + at);
    // Each frame that is written has to be one that a peer takes.
    EXPECT_EQ(FrameReader::CheckHeader(header, max_frame), FrameError::kNone);
    at += kHeaderSize;
    EXPECT_GE(bytes.size() - at, header.length);
    frames.push_back({header, bytes.substr(at, header.length)});
    at += header.length;
  }
  return frames;
}

Metadata OnePair() {
  Metadata m;
  EXPECT_TRUE(m.Add("k", "v").ok());
  return m;
}

EchoRequest TextOf(const std::string& text) {
  EchoRequest message;
  message.set_text(text);
  return message;
}

OutMessage Fitting(const google::protobuf::MessageLite& message) {
  OutMessage out;
  out.message = &message;
  out.size = MessageCodec::ByteSize(message);
  return out;
}

TEST(FrameWriter, WritesARequestByNumber) {
  Written written;
  const EchoRequest message = TextOf("hi");
  const OutMessage out = Fitting(message);
  const std::string bytes = written.Of(kMinFrame, [&](FrameWriter& w) WEFT_NO_THREAD_ANALYSIS {
    w.Request({.id = 3, .method = 2, .method_name = {}, .timeout_us = 1'000'000}, out);
  });
  // By hand from docs/native_protocol.md: writer and reader could share a mistake.
  EXPECT_EQ(bytes, std::string("\x0C\0\0\0\x01\x01\x02\0\x03\0\0\0\0\0\0\0"
                               "\x40\x42\x0F\0\0\0\0\0"
                               "\x12\x02hi",
                               16 + 8 + 4));
}

TEST(FrameWriter, WritesARequestByNameWithMetadata) {
  Written written;
  const Metadata metadata = OnePair();
  OutMessage out;
  // The same message, serialized already.
  out.bytes = "\x12\x02hi";
  out.size = 4;
  const std::string bytes = written.Of(kMinFrame, [&](FrameWriter& w) WEFT_NO_THREAD_ANALYSIS {
    w.Request({.id = 1, .method = 1, .method_name = "a.B/C", .metadata = &metadata}, out);
  });
  EXPECT_EQ(bytes, std::string("\x1F\0\0\0\x01\x49\x01\0\x01\0\0\0\0\0\0\0"
                               "\0\0\0\0\0\0\0\0"
                               "\x05\0a.B/C"
                               "\x08\0\0\0\x01\0k\x01\0\0\0v"
                               "\x12\x02hi",
                               16 + 8 + 7 + 12 + 4));
}

TEST(FrameWriter, WritesAResponse) {
  Written written;
  const Metadata none;
  const EchoRequest message = TextOf("hi");
  const OutMessage out = Fitting(message);
  const std::string bytes = written.Of(kMinFrame, [&](FrameWriter& w) WEFT_NO_THREAD_ANALYSIS {
    w.Response({.id = 3, .handler_us = 258, .metadata = &none}, out);
  });
  EXPECT_EQ(bytes, std::string("\x08\0\0\0\x02\x01\0\0\x03\0\0\0\0\0\0\0"
                               "\x02\x01\0\0"
                               "\x12\x02hi",
                               16 + 4 + 4));
}

TEST(FrameWriter, WritesAnErrorWithDetails) {
  Written written;
  absl::Status status = absl::NotFoundError("no cat");
  status.SetPayload("u/T", absl::Cord("v"));
  const Metadata metadata = OnePair();
  const std::string bytes = written.Of(kMinFrame, [&](FrameWriter& w) WEFT_NO_THREAD_ANALYSIS {
    w.Error({.id = 3, .handler_us = 7, .metadata = &metadata}, status, true);
  });
  EXPECT_EQ(bytes, std::string("\x24\0\0\0\x02\x49\x05\0\x03\0\0\0\0\0\0\0"
                               "\x07\0\0\0"
                               "\x08\0\0\0\x01\0k\x01\0\0\0v"
                               "\x06\0\0\0no cat"
                               "\x0A\x08\x0A\x03u/T\x12\x01v",
                               16 + 4 + 12 + 10 + 10));
  const std::string plain = written.Of(kMinFrame, [&](FrameWriter& w) WEFT_NO_THREAD_ANALYSIS {
    // The shortest error has its time and an empty text; neither flag is set.
    w.Error({.id = 3}, absl::CancelledError(""), false);
  });
  EXPECT_EQ(plain, std::string("\x08\0\0\0\x02\x01\x01\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24));
}

TEST(FrameWriter, WritesInitialMetadata) {
  Written written;
  const Metadata one = OnePair();
  const Metadata none;
  const std::string bytes = written.Of(kMinFrame, [&](FrameWriter& w) WEFT_NO_THREAD_ANALYSIS {
    w.Headers(3, one);
    // The number takes two bytes, and nothing stands behind the header.
    w.Headers(258, none);
  });
  EXPECT_EQ(bytes, std::string("\x08\0\0\0\x09\0\0\0\x03\0\0\0\0\0\0\0"
                               "\x01\0k\x01\0\0\0v"
                               "\0\0\0\0\x09\0\0\0\x02\x01\0\0\0\0\0\0",
                               16 + 8 + 16));
}

TEST(FrameWriter, WritesPlainFrames) {
  Written written;
  const std::string bytes = written.Of(kMinFrame, [](FrameWriter& w) WEFT_NO_THREAD_ANALYSIS {
    // The length that is given does not count: the writer knows the body's.
    w.Plain({99, FrameType::kPing, kReply, 0, 5}, "");
    w.Plain({0, FrameType::kGoAway, 0, 14, 6}, "bye");
  });
  EXPECT_EQ(bytes, std::string("\0\0\0\0\x06\x80\0\0\x05\0\0\0\0\0\0\0"
                               "\x03\0\0\0\x07\0\x0E\0\x06\0\0\0\0\0\0\0"
                               "bye",
                               16 + 16 + 3));
}

TEST(FrameWriter, KnowsItsOverhead) {
  const Metadata none;
  const Metadata metadata = OnePair();
  // A request has its timeout and a response its time. A name has two bytes of length, metadata
  // four.
  EXPECT_EQ(FrameWriter::Overhead(RequestHead{}), 8u);
  EXPECT_EQ(FrameWriter::Overhead(RequestHead{.method_name = {}, .metadata = &none}), 8u);
  EXPECT_EQ(FrameWriter::Overhead(RequestHead{.method_name = "a/b", .metadata = &metadata}),
            8u + 5 + 4 + metadata.WireSize());
  EXPECT_EQ(FrameWriter::Overhead(ResponseHead{}), 4u);
  EXPECT_EQ(FrameWriter::Overhead(ResponseHead{.metadata = &metadata}),
            4u + 4 + metadata.WireSize());
}

// Cut into frames and put together again, a message is what it was.
void ExpectPiecesComeBack(size_t payload, size_t max_frame, bool share, bool response) {
  SCOPED_TRACE(testing::Message() << payload << " bytes, frames of " << max_frame
                                  << (share ? ", shared" : "") << (response ? ", response" : ""));
  Written written;
  const Metadata metadata = OnePair();
  EchoRequest message;
  message.set_payload(std::string(payload, 'p'));
  // A second field: the first one's end lies inside a frame.
  message.set_text(std::string(payload / 3, 't'));
  const std::string expected = message.SerializeAsString();
  std::vector<MessagePiece> pieces = PiecesOf(message, MessageCodec::ByteSize(message), share);
  OutMessage out;
  out.pieces = &pieces;
  out.size = expected.size();
  const std::string bytes = written.Of(max_frame, [&](FrameWriter& w) WEFT_NO_THREAD_ANALYSIS {
    PieceCursor rest =
        response
            ? w.Response({.id = 9, .metadata = &metadata}, out)
            : w.Request({.id = 9, .method = 1, .method_name = "a/b", .metadata = &metadata}, out);
    while (rest.left > 0) w.Data(9, response, pieces, out.keeper, &rest);
  });
  const std::vector<Frame> frames = Cut(bytes, max_frame);
  ASSERT_FALSE(frames.empty());
  RequestFrame request;
  ResponseFrame reply;
  const FrameHeader& first = frames[0].header;
  ASSERT_EQ(response ? FrameReader::ReadResponse(first, frames[0].body, &reply)
                     : FrameReader::ReadRequest(first, frames[0].body, &request),
            FrameError::kNone);
  EXPECT_EQ(response ? reply.payload.whole_size : request.payload.whole_size, expected.size());
  EXPECT_EQ(first.has(kMore), frames.size() > 1);
  std::string got(response ? reply.payload.bytes : request.payload.bytes);
  for (size_t i = 1; i < frames.size(); ++i) {
    const FrameHeader& header = frames[i].header;
    EXPECT_EQ(header.type, FrameType::kData);
    EXPECT_EQ(header.id, 9u);
    EXPECT_EQ(header.aux, 0u);
    EXPECT_EQ(header.has(kReply), response);
    EXPECT_EQ(header.has(kMore), i + 1 < frames.size());
    EXPECT_TRUE(header.length == max_frame || !header.has(kMore)) << "only the last is not full";
    got += frames[i].body;
  }
  EXPECT_EQ(got, expected);
}

TEST(FrameWriter, CutsLargeMessagesIntoFramesOfThePeersLimit) {
  for (const size_t max_frame : {kMinFrame, size_t{40'000}, size_t{64} << 10, kLargestFrame}) {
    for (const bool share : {false, true}) {
      for (const bool response : {false, true}) {
        for (const size_t payload : {max_frame / 2, 3 * max_frame, size_t{1'000'000}}) {
          // Frames of 16 MiB are tried with messages of one frame only: three times as much takes
          // long.
          if (payload > 4'000'000) continue;
          ExpectPiecesComeBack(payload, max_frame, share, response);
        }
      }
    }
  }
}

TEST(FrameWriter, CutsAroundTheExactSizeOfAFrame) {
  // Some of these fill the first frame to its last byte, some are one byte longer.
  for (size_t payload = 24'500; payload < 24'600; ++payload) {
    ExpectPiecesComeBack(payload, kMinFrame, false, false);
    ExpectPiecesComeBack(payload, kMinFrame, true, true);
  }
}

TEST(FrameWriter, KeepsSharedBytesUntilTheyAreWritten) {
  Written written;
  auto message = std::make_shared<EchoRequest>();
  message->set_payload(std::string(100'000, 'p'));
  const std::weak_ptr<EchoRequest> watched = message;
  const std::string expected = message->SerializeAsString();
  std::vector<MessagePiece> pieces = PiecesOf(*message, MessageCodec::ByteSize(*message), true);
  OutMessage out;
  out.pieces = &pieces;
  out.size = expected.size();
  out.keeper = std::move(message);
  bool claimed;
  {
    MutexLock lock(written.queue().mutex());
    FrameWriter(written.queue(), kMinFrame).Response({.id = 1}, out);
    claimed = written.queue().Claim();
  }
  ASSERT_TRUE(claimed);
  pieces.clear();
  // Only the queue refers to the message now.
  out.keeper.reset();
  EXPECT_FALSE(watched.expired());
  EXPECT_EQ(written.queue().Flush(), OutputQueue::Flushed::kAll);
  EXPECT_TRUE(watched.expired());
}

TEST(FrameWriter, LetsSharedBytesGoWhenTheConnectionCloses) {
  Written written;
  auto message = std::make_shared<EchoRequest>();
  message->set_payload(std::string(100'000, 'p'));
  const std::weak_ptr<EchoRequest> watched = message;
  std::vector<MessagePiece> pieces = PiecesOf(*message, MessageCodec::ByteSize(*message), true);
  OutMessage out;
  out.pieces = &pieces;
  out.size = MessageCodec::ByteSize(*message);
  out.keeper = std::move(message);
  {
    MutexLock lock(written.queue().mutex());
    FrameWriter(written.queue(), kMinFrame).Response({.id = 1}, out);
  }
  out.keeper.reset();
  // Nothing was claimed or flushed, as where the connection breaks before it can be written to.
  written.queue().Close();
  EXPECT_TRUE(watched.expired());
}

TEST(FrameWriter, CutsAnErrorToOneFrame) {
  Written written;
  const Metadata metadata = OnePair();
  // 30,000 bytes fit beside 1,000 of details, 32,700 only alone, and 100,000 not at all.
  for (const size_t text : {size_t{0}, size_t{30'000}, size_t{32'700}, size_t{100'000}}) {
    for (const size_t detail : {size_t{0}, size_t{1'000}, size_t{100'000}}) {
      absl::Status status = absl::InternalError(std::string(text, 'e'));
      if (detail > 0) status.SetPayload("u/T", absl::Cord(std::string(detail, 'd')));
      const std::string bytes = written.Of(kMinFrame, [&](FrameWriter& w) WEFT_NO_THREAD_ANALYSIS {
        w.Error({.id = 3, .metadata = &metadata}, status, false);
      });
      const std::vector<Frame> frames = Cut(bytes, kMinFrame);
      ASSERT_EQ(frames.size(), 1u);
      ResponseFrame frame;
      ASSERT_EQ(FrameReader::ReadResponse(frames[0].header, frames[0].body, &frame),
                FrameError::kNone);
      EXPECT_EQ(frame.error_message.size(),
                std::min(text, kMinFrame - 4 - 4 - metadata.WireSize() - 4));
      absl::Status read = absl::InternalError("");
      SetStatusDetails(frame.error_details, &read);
      // Whole or not at all.
      EXPECT_TRUE(frame.error_details.empty() ||
                  std::string(*read.GetPayload("u/T")) == std::string(detail, 'd'));
      EXPECT_EQ(!frame.error_details.empty(), detail == 1'000 && text <= 30'000);
    }
  }
}

}  // namespace
}  // namespace weft::internal::native
