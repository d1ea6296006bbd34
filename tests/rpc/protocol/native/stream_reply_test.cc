// The answer that ends a call with streams, when it is OK and what it brings is not: broken where
// the method has a reply, anything at all where only its stream has messages. The call is not OK
// then, and the rest of the connection does not notice.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protos/rows.weft.h"
#include "tests/rpc/protocol/native/held_echo.h"
#include "tests/rpc/protocol/native/stream_walk.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "weft/rpc/channel.h"

namespace weft::internal::native {
namespace {

using absl::StatusCode;
using test::Kind;
using test::Row;
using test::RowBytes;
using test::Rows;
using test::RowSum;
using ::testing::AnyOf;
using ::testing::HasSubstr;

// A field of 127 bytes that has none.
constexpr char kBroken[] = "\x0A\x7F";

// A call of each kind by a real channel; the test plays the server, whose replies are sound or
// broken.
class StreamReply : public ::testing::TestWithParam<Kind> {
 protected:
  StreamReply() {
    ChannelOptions options;
    options.runtime = test::QuietRuntime();
    options.limits.heartbeat_interval = absl::ZeroDuration();
    options.limits.max_message_bytes = 100'000;
    channel_ = *Channel::Create(listener_.address(), std::move(options));
    stub_ = std::make_unique<Rows::Stub>(*channel_);
    channel_->Connect();
    server_ = listener_.Accept();
    EXPECT_EQ(server_.Read(8), raw::Preface());
    EXPECT_TRUE(server_.ReadFrame(FrameType::kHello).has_value());
    server_.Send(raw::Opening(test::StreamingHello()));
  }

  uint64_t ReadRequest() {
    const std::optional<RawFrame> frame = server_.ReadFrame(FrameType::kRequest);
    EXPECT_TRUE(frame.has_value()) << "no request";
    return frame.has_value() ? frame->header.id : 0;
  }
  // How a call of the parameter's kind ends whose server sends so; with the rows that came before.
  template <typename Answer>
  absl::Status EndOf(const Answer& answer, int* rows) {
    const auto read = [&](auto& stream) {
      Row row;
      while (stream.Read(&row)) ++*rows;
    };
    switch (GetParam()) {
      // Each answer is sent behind the request, whose number it needs.
      case Kind::kClientStreams: {
        auto adding = stub_->Add();
        server_.Send(answer(ReadRequest()));
        return adding.Finish().status();
      }
      case Kind::kServerStreams: {
        auto listing = stub_->List({});
        server_.Send(answer(ReadRequest()));
        read(listing);
        return listing.Finish();
      }
      default: {
        auto talking = stub_->Talk();
        server_.Send(answer(ReadRequest()));
        read(talking);
        return talking.Finish();
      }
    }
  }
  bool streams_in() const { return test::ServerStreamsIn(GetParam()); }
  // A sound reply ends a call well, on the same connection.
  void ExpectServed() {
    int rows = 0;
    EXPECT_EQ(EndOf([](uint64_t id) { return raw::Reply(id, ""); }, &rows), absl::OkStatus());
    EXPECT_EQ(channel_->counts().connects, 1);
    EXPECT_EQ(channel_->counts().late_replies, 0);
  }

  RawListener listener_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<Rows::Stub> stub_;
  RawPeer server_;
};

// Codec, size of what it inflates to.
std::string Compressed(uint64_t id, uint8_t codec, uint32_t inflated, const std::string& bytes) {
  return raw::Frame(0x02, 0x05, 0, id,
                    raw::Number(uint32_t{0}) + raw::Number(codec) + raw::Number(inflated) + bytes);
}
// A message, and bytes beside it.
std::string Attached(uint64_t id, const std::string& message, const std::string& attachment) {
  return raw::Frame(0x02, 0x11, 0, id,
                    raw::Number(uint32_t{0}) +
                        raw::Number(static_cast<uint32_t>(attachment.size())) + message +
                        attachment);
}

TEST_P(StreamReply, ThatIsBrokenEndsItsCallWithAnError) {
  const std::string broken(kBroken, 2);
  const std::string large = RowBytes(2'000) + broken;
  const std::vector<std::string (*)(uint64_t, const std::string&)> ways = {
      [](uint64_t id, const std::string& m) { return raw::Reply(id, m.substr(m.size() - 2)); },
      [](uint64_t id, const std::string& m) { return raw::Reply(id, m); },
      [](uint64_t id, const std::string& m) {  // in pieces
        return raw::ReplyBegin(id, static_cast<uint32_t>(m.size()), m.substr(0, 500)) +
               raw::Data(id, true, true, m.substr(500, 1'000)) +
               raw::Data(id, true, false, m.substr(1'500));
      },
      [](uint64_t id, const std::string& m) { return Attached(id, m, "beside it"); },
      [](uint64_t id, const std::string&) { return Compressed(id, 1, 100, "no gzip at all"); },
  };
  for (size_t i = 0; i < ways.size(); ++i) {
    SCOPED_TRACE(i);
    int rows = 0;
    const absl::Status end = EndOf([&](uint64_t id) { return ways[i](id, large); }, &rows);
    EXPECT_EQ(end.code(), StatusCode::kInternal) << end;
    EXPECT_THAT(std::string(end.message()), HasSubstr(test::MethodOf(GetParam())));
    EXPECT_THAT(std::string(end.message()),
                streams_in() ? testing::Matcher<std::string>(HasSubstr("has a message"))
                             : AnyOf(HasSubstr("cannot parse the"), HasSubstr("gzip")));
    EXPECT_EQ(rows, 0);
    ExpectServed();
  }
}

// Sound as it is, nobody would get it.
TEST_P(StreamReply, WithAMessageThatOnlyItsStreamMayHaveIsAnError) {
  if (!streams_in()) {
    int rows = 0;
    EXPECT_EQ(EndOf([](uint64_t id) { return raw::Reply(id, raw::Varint(1, 3)); }, &rows),
              absl::OkStatus());
    return;
  }
  const std::string row = RowBytes(1'000);
  const std::vector<std::string (*)(uint64_t, const std::string&)> ways = {
      [](uint64_t id, const std::string& m) { return raw::Reply(id, m); },
      [](uint64_t id, const std::string& m) {
        return raw::ReplyBegin(id, static_cast<uint32_t>(m.size()), "") +
               raw::Data(id, true, false, m);
      },
      [](uint64_t id, const std::string&) { return Attached(id, "", "an attachment alone"); },
  };
  for (size_t i = 0; i < ways.size(); ++i) {
    SCOPED_TRACE(i);
    int rows = 0;
    const absl::Status end = EndOf(
        [&](uint64_t id) {
          return raw::Message(id, true, row) + raw::Message(id, true, row) + ways[i](id, row);
        },
        &rows);
    EXPECT_EQ(end.code(), StatusCode::kInternal) << end;
    EXPECT_THAT(std::string(end.message()), HasSubstr("which only the stream may have"));
    EXPECT_EQ(rows, 2) << "the stream's own messages have come";
    ExpectServed();
  }
}

TEST_P(StreamReply, ThatIsOverTheLimitEndsItsCallWithAnError) {
  int rows = 0;
  const absl::Status end = EndOf(
      [](uint64_t id) {
        return raw::ReplyBegin(id, 100'001, "x") + raw::Data(id, true, true, "dropped");
      },
      &rows);
  EXPECT_EQ(end.code(), StatusCode::kResourceExhausted) << end;
  EXPECT_THAT(std::string(end.message()), HasSubstr("max_message_bytes"));
  ExpectServed();
}

std::string NameOfKind(const ::testing::TestParamInfo<Kind>& info) {
  return test::NameOf(info.param);
}

INSTANTIATE_TEST_SUITE_P(Of, StreamReply,
                         ::testing::Values(Kind::kClientStreams, Kind::kServerStreams,
                                           Kind::kBothStream),
                         NameOfKind);

}  // namespace
}  // namespace weft::internal::native
