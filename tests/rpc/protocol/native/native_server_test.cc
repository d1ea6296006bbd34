// A server against a peer that speaks byte by byte: each fault ends its own connection, with a
// reason, and no other; each refusal is a status on its call.
#include <array>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/rpc/protocol/native/held_echo.h"
#include "tests/support/log_lines.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "tests/support/watched.h"
#include "weft/rpc/protocol/native/frame_reader.h"
#include "weft/rpc/protocol/native/handshake.h"
#include "weft/rpc/protocol/native/held_frames.h"
#include "weft/rpc/protocol/native/hello.pb.h"
#include "weft/rpc/protocol/native/native_session.h"
#include "weft/rpc/server.h"

namespace weft::internal::native {
namespace {

using test::EchoReply;
using test::HeldEcho;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uint64_t kTopBit = uint64_t{1} << 63;

// A reply as its sections.
struct Answer {
  uint64_t id = 0;
  absl::StatusCode code = absl::StatusCode::kOk;
  bool not_executed = false;
  std::string text;     // of an error
  std::string message;  // of a reply
  std::string metadata;
};

// A real server over TCP, and peers that the test plays byte by byte. With StartWithOthers a call
// of another connection is under way all the time: TearDown expects that it is answered, so that no
// fault of one peer reaches another.
class NativeServer : public ::testing::Test {
 protected:
  // Small, so that a test can exceed them. A message at its limit takes several frames.
  static constexpr size_t kMaxMessage = 200'000;
  static constexpr size_t kMaxFrame = 40'000;

  NativeServer() {
    options_.limits.max_message_bytes = kMaxMessage;
    options_.limits.max_frame_bytes = kMaxFrame;
    options_.drain = absl::Seconds(30);
  }
  void TearDown() override {
    if (server_ == nullptr) return;
    if (others_.has_value()) {
      echo_.Release();
      EXPECT_EQ(ReadAnswer(*others_).id, 1u) << "the call of another connection";
      others_.reset();  // a peer that does not confirm would be waited for
    }
    echo_.End();
    server_->Stop(absl::Seconds(30));
  }

  void Start() {
    if (options_.runtime == nullptr) options_.runtime = test::QuietRuntime();
    server_ = std::make_unique<Server>(options_);
    ASSERT_TRUE(server_->Register(echo_).ok());
    const absl::Status started = server_->Start("127.0.0.1:0");
    ASSERT_TRUE(started.ok()) << started;
  }
  // Another connection, with a call under way on it until the end of the test.
  void StartWithOthers() {
    Start();
    others_ = Open();
    others_->Send(raw::Request({.id = 1, .name = "weft.test.EchoService/Hang"}));
    // Returns when the handler runs, so that a later fault surely meets a call under way.
    echo_.Held(0);
  }

  RawPeer Connect() { return RawPeer::ConnectTo(server_->port()); }
  // A connection whose handshake is done.
  RawPeer Open(const raw::HelloFields& hello = {}) {
    RawPeer peer = Connect();
    peer.Send(raw::Opening(hello));
    ReadOpening(peer);
    return peer;
  }
  static void ReadOpening(RawPeer& peer) {
    EXPECT_EQ(peer.Read(8), raw::Preface());
    const std::optional<RawFrame> hello = peer.ReadFrame();
    ASSERT_TRUE(hello.has_value());
    EXPECT_EQ(hello->header.type, FrameType::kHello);
  }

  static Answer ReadAnswer(RawPeer& peer) {
    Answer answer;
    const std::optional<RawFrame> frame = peer.ReadFrame(FrameType::kResponse);
    if (!frame.has_value()) {
      ADD_FAILURE() << "no answer";
      return answer;
    }
    ResponseFrame sections;
    EXPECT_EQ(FrameReader::ReadResponse(frame->header, frame->body, &sections), FrameError::kNone);
    EXPECT_TRUE(frame->header.has(kEnd));
    answer.id = frame->header.id;
    answer.code = static_cast<absl::StatusCode>(frame->header.aux);
    answer.not_executed = frame->header.has(kNotExecuted) && frame->header.aux != 0;
    answer.text = sections.error_message;
    answer.message = sections.payload.bytes;
    answer.metadata = sections.metadata;
    while (frame->header.has(kMore) && answer.message.size() < sections.payload.whole_size) {
      const std::optional<RawFrame> data = peer.ReadFrame(FrameType::kData);
      if (!data.has_value()) break;
      EXPECT_TRUE(data->header.has(kReply));
      EXPECT_EQ(data->header.id, answer.id);
      answer.message += data->body;
      EXPECT_EQ(data->header.has(kMore), answer.message.size() < sections.payload.whole_size);
    }
    return answer;
  }
  // That the connection lives and has taken everything sent so far.
  static void ExpectPong(RawPeer& peer, uint64_t id = 77) {
    peer.Send(raw::Ping(id));
    const std::optional<RawFrame> pong = peer.ReadFrame(FrameType::kPing);
    ASSERT_TRUE(pong.has_value());
    EXPECT_EQ(pong->header.id, id);
    EXPECT_TRUE(pong->header.has(kReply));
  }
  static void ExpectGoAway(RawPeer& peer, uint64_t last, std::string_view why) {
    const std::optional<RawFrame> goaway = peer.ReadFrame();
    ASSERT_TRUE(goaway.has_value()) << "no GOAWAY";
    EXPECT_EQ(goaway->header.type, FrameType::kGoAway);
    EXPECT_EQ(goaway->header.id, last);
    EXPECT_EQ(goaway->header.aux, static_cast<int>(absl::StatusCode::kUnavailable));
    EXPECT_EQ(goaway->body, why);
  }
  void ExpectServed(RawPeer& peer, uint64_t id) {
    peer.Send(raw::Request({.id = id, .message = raw::Text("still here")}));
    const Answer answer = ReadAnswer(peer);
    EXPECT_EQ(answer.id, id);
    EXPECT_EQ(answer.code, absl::StatusCode::kOk) << answer.text;
    EXPECT_EQ(answer.message, raw::Text("still here"));
  }

  std::array<int64_t, kCloseReasons> Closed() const {
    std::array<int64_t, kCloseReasons> counts;
    for (size_t i = 0; i < kCloseReasons; ++i) {
      counts[i] = server_->closed(static_cast<CloseReason>(i));
    }
    return counts;
  }
  // That `peer` is closed for this reason and no other, and that others don't notice.
  void ExpectClosed(RawPeer& peer, CloseReason reason,
                    const std::array<int64_t, kCloseReasons>& before) {
    EXPECT_TRUE(peer.WaitForClose());
    std::array<int64_t, kCloseReasons> expected = before;
    ++expected[static_cast<size_t>(reason)];
    // The peer may see the end before the server has counted it.
    EXPECT_TRUE(PollUntil([&] { return Closed() != before; }));
    EXPECT_EQ(Closed(), expected) << "expected: " << CloseReasonName(reason);
    if (others_.has_value()) ExpectServed(*others_, ++others_calls_);
  }
  // The same for a connection that sends `bytes` after its handshake. Returns the last text that it
  // is told.
  std::string ExpectClosedAfter(CloseReason reason, const std::string& bytes,
                                const std::function<void(RawPeer&)>& end = nullptr) {
    const auto before = Closed();
    RawPeer peer = Open();
    peer.Send(bytes);
    if (end) end(peer);
    std::string why;
    if (!end) {
      const std::optional<RawFrame> goaway = peer.ReadFrame(FrameType::kGoAway);
      EXPECT_TRUE(goaway.has_value()) << "it was not told why";
      if (goaway.has_value()) why = goaway->body;
    }
    ExpectClosed(peer, reason, before);
    return why;
  }

  ServerOptions options_;
  HeldEcho echo_;
  std::unique_ptr<Server> server_;
  std::optional<RawPeer> others_;
  uint64_t others_calls_ = 1;
};

// ---- The opening

TEST_F(NativeServer, SendsItsPrefaceAndHelloWhenItHasReadOurs) {
  Start();
  RawPeer peer = Connect();
  peer.Send(raw::Opening());
  EXPECT_EQ(peer.Read(8), raw::Preface());
  const std::optional<RawFrame> frame = peer.ReadFrame();
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->header.type, FrameType::kHello);
  Hello hello;
  ASSERT_TRUE(hello.ParseFromString(frame->body));
  EXPECT_EQ(hello.highest_version(), 1u);
  EXPECT_EQ(hello.max_frame_bytes(), kMaxFrame);
  EXPECT_EQ(hello.max_message_bytes(), kMaxMessage);
  ExpectPong(peer);
}

TEST_F(NativeServer, TakesTheOpeningByteByByteWithCallsBehindIt) {
  Start();
  RawPeer peer = Connect();
  peer.SendByByte(raw::Opening() + raw::Request({.id = 1, .message = raw::Text("hi")}));
  ReadOpening(peer);
  EXPECT_EQ(ReadAnswer(peer).message, raw::Text("hi"));
}

TEST_F(NativeServer, ClosesOtherProtocols) {
  StartWithOthers();
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        std::string("\x16\x03\x01\x02\0\x01\0\x01\xFC\x03\x03", 11),  // TLS ClientHello
        std::string("\0\0\0\0\0\0\0\0", 8), std::string("weft\r\n\x01\x01"),
        std::string(10'000, '\xF6')}) {
    for (const bool by_byte : {false, true}) {
      const auto before = Closed();
      RawPeer peer = Connect();
      if (by_byte) {
        peer.SendByByte(bytes.substr(0, 20));
      } else {
        peer.Send(bytes);
      }
      ExpectClosed(peer, CloseReason::kUnknownProtocol, before);
    }
  }
}

TEST_F(NativeServer, ClosesAtTheFirstWrongByteOfThePreface) {
  StartWithOthers();
  for (size_t i = 0; i < 8; ++i) {
    const auto before = Closed();
    std::string bytes = raw::Preface().substr(0, i + 1);
    bytes[i] = static_cast<char>(bytes[i] ^ 0x20);
    RawPeer peer = Connect();
    peer.Send(bytes);  // and then waits: the server must not
    ExpectClosed(peer, CloseReason::kUnknownProtocol, before);
  }
}

TEST_F(NativeServer, ClosesVersionsAndFeaturesItDoesNotHave) {
  StartWithOthers();
  for (const raw::HelloFields& hello :
       {raw::HelloFields{.lowest = 2, .highest = 2}, raw::HelloFields{.lowest = 2, .highest = 9},
        raw::HelloFields{.lowest = 0, .highest = 0}, raw::HelloFields{.required_features = 4}}) {
    const auto before = Closed();
    RawPeer peer = Connect();
    peer.Send(raw::Opening(hello));
    // The server says which versions it speaks before it closes, and why it closes.
    ReadOpening(peer);
    const std::optional<RawFrame> goaway = peer.ReadFrame(FrameType::kGoAway);
    ASSERT_TRUE(goaway.has_value());
    EXPECT_THAT(goaway->body, HasSubstr(hello.required_features != 0 ? "0x4" : "this side only 1"));
    ExpectClosed(peer, CloseReason::kVersion, before);
  }
}

TEST_F(NativeServer, ClosesAHelloThatCannotBe) {
  StartWithOthers();
  for (const std::string& hello :
       // No protobuf message, a field without its value, and frame limits just outside of the
       // range.
       {raw::Frame(0x10, 0, 0, 0, "\xFF\xFF\xFF"), raw::Frame(0x10, 0, 0, 0, "\x08"),
        raw::Hello({.max_frame = 0}), raw::Hello({.max_frame = (32 << 10) - 1}),
        raw::Hello({.max_frame = (16 << 20) + 1})}) {
    const auto before = Closed();
    RawPeer peer = Connect();
    peer.Send(raw::Preface() + hello);
    ExpectClosed(peer, CloseReason::kBadFrame, before);
  }
  // Without a version there is none in common.
  const auto before = Closed();
  RawPeer peer = Connect();
  peer.Send(raw::Preface() + raw::Frame(0x10, 0, 0, 0));
  ExpectClosed(peer, CloseReason::kVersion, before);
}

TEST_F(NativeServer, ClosesFramesBeforeTheHello) {
  StartWithOthers();
  for (const std::string& frame :
       {raw::Request({.id = 1}), raw::Reply(1, ""), raw::Data(1, false, false, "x"), raw::Cancel(1),
        raw::Ping(1), raw::GoAway(0, ""), raw::Frame(0x08, 0, 0, 0)}) {
    const auto before = Closed();
    RawPeer peer = Connect();
    peer.Send(raw::Preface() + frame + raw::Hello());
    ExpectClosed(peer, CloseReason::kBadFrame, before);
  }
}

TEST_F(NativeServer, ClosesASecondHello) {
  StartWithOthers();
  EXPECT_THAT(ExpectClosedAfter(CloseReason::kBadFrame, raw::Hello()), HasSubstr("a second Hello"));
  // The reassembler marks replies by the highest bit: unchecked, this DATA would be taken for a
  // piece of the reply that has begun.
  ExpectClosedAfter(CloseReason::kBadFrame,
                    raw::Request({.id = 1, .message = raw::Text("x")}) + raw::Hello());
}

TEST_F(NativeServer, ClosesWithoutAHelloInTime) {
  options_.limits.handshake_timeout = absl::Milliseconds(50);
  Start();
  const std::string opening = raw::Opening();
  // Nothing, parts of the preface, the preface alone, and a Hello cut in its header and before its
  // last byte.
  for (const size_t part : {size_t{0}, size_t{3}, size_t{8}, size_t{20}, opening.size() - 1}) {
    const auto before = Closed();
    RawPeer peer = Connect();
    peer.Send(opening.substr(0, part));
    ExpectClosed(peer, CloseReason::kHandshakeTimeout, before);
  }
}

// ---- Frames

TEST_F(NativeServer, ClosesFramesLongerThanTheLimitByTheirHeaderAlone) {
  StartWithOthers();
  for (const uint32_t length : {uint32_t{kMaxFrame} + 1, uint32_t{1} << 31, UINT32_MAX}) {
    const std::string why =
        ExpectClosedAfter(CloseReason::kFrameTooLong, raw::Header(length, 0x01, 0x01, 0, 1));
    EXPECT_THAT(why, AllOf(HasSubstr(absl::StrCat(length)), HasSubstr(absl::StrCat(kMaxFrame)),
                           HasSubstr("max_frame_bytes of the server")));
    // And of a Hello.
    const auto before = Closed();
    RawPeer peer = Connect();
    peer.Send(raw::Preface() + raw::Header(length, 0x10, 0, 0, 0));
    ExpectClosed(peer, CloseReason::kFrameTooLong, before);
  }
}

TEST_F(NativeServer, ClosesReservedBits) {
  StartWithOthers();
  // By frame type, the flags that the protocol defines. Written out, so that a flag added by
  // mistake is noticed.
  const std::map<int, int> allowed = {{0x01, 0x5F}, {0x02, 0x5F}, {0x03, 0x82}, {0x04, 0},
                                      {0x05, 0x80}, {0x0A, 0xD7}, {0x06, 0x80}, {0x07, 0},
                                      {0x08, 0},    {0x09, 0},    {0x10, 0}};
  for (const auto& [type, flags] : allowed) {
    for (int bit = 1; bit < 256; bit <<= 1) {
      if ((flags & bit) != 0) continue;
      const std::string why =
          ExpectClosedAfter(CloseReason::kBadFrame, raw::Header(0, type, bit, 0, 1));
      EXPECT_THAT(why, HasSubstr("reserved bits"));
    }
  }
}

TEST_F(NativeServer, ClosesUnknownFrameTypes) {
  StartWithOthers();
  for (const int type : {0x00, 0x0B, 0x0F, 0x11, 0x20, 0x7F, 0x80, 0xFF}) {
    EXPECT_THAT(ExpectClosedAfter(CloseReason::kBadFrame, raw::Frame(type, 0, 0, 1)),
                HasSubstr("an unknown frame type"));
  }
}

TEST_F(NativeServer, CountsAFrameThatTheEndCutOff) {
  StartWithOthers();
  const std::string request = raw::Request({.id = 1, .message = raw::Text("hello")});
  const auto end = [](RawPeer& peer) { peer.ShutDownWrites(); };
  for (size_t n = 1; n < request.size(); ++n) {
    ExpectClosedAfter(CloseReason::kTruncatedFrame, request.substr(0, n), end);
  }
  const std::string begin = raw::Request({.id = 1, .message = "\x0A", .more = 5'000});
  // Around the header's 16 bytes, and within the body.
  for (const size_t n : {size_t{1}, size_t{15}, size_t{16}, size_t{17}, size_t{2'000}}) {
    ExpectClosedAfter(CloseReason::kTruncatedFrame,
                      begin + raw::Data(1, false, true, std::string(4'000, 'x')).substr(0, n), end);
  }
  // Between frames it is an orderly end, be a message unfinished or not.
  ExpectClosedAfter(CloseReason::kPeerClosed, "", end);
  ExpectClosedAfter(CloseReason::kPeerClosed, begin, end);
}

TEST_F(NativeServer, ClosesSectionsThatRunPastTheirFrame) {
  StartWithOthers();
  const std::string timeout = raw::Number(uint64_t{0});
  for (const std::string& frame :
       // Requests without all of their timeout, name, metadata or whole size, then the same of
       // replies and errors. The last ones have bytes where their type has none, or none where it
       // has some.
       {raw::Frame(0x01, 0x01, 1, 1), raw::Frame(0x01, 0x01, 1, 1, "1234567"),
        raw::Frame(0x01, 0x41, 1, 1, timeout), raw::Frame(0x01, 0x41, 1, 1, timeout + "\x05"),
        raw::Frame(0x01, 0x41, 1, 1, timeout + std::string("\xFF\xFFx", 3)),
        raw::Frame(0x01, 0x41, 1, 1, timeout + std::string("\0\0", 2)),
        raw::Frame(0x01, 0x09, 1, 1, timeout + std::string("\xFF\xFF\xFF\xFFx", 5)),
        raw::Frame(0x01, 0x03, 1, 1, timeout + "123"),
        raw::Frame(0x01, 0x03, 1, 1, timeout + raw::Number(uint32_t{3}) + "123"),
        raw::Frame(0x01, 0x03, 1, 1, timeout + raw::Number(uint32_t{1} << 31) + "1"),
        raw::Frame(0x02, 0x01, 0, 1), raw::Frame(0x02, 0x01, 5, 1, "12345678"),
        raw::Frame(0x02, 0x03, 5, 1, std::string(12, '\0')), raw::Frame(0x03, 0, 0, 1),
        raw::Frame(0x04, 0, 0, 1, "x"), raw::Frame(0x06, 0, 0, 1, "x"),
        raw::Frame(0x08, 0, 0, 0, "x")}) {
    ExpectClosedAfter(CloseReason::kBadFrame, frame);
  }
}

TEST_F(NativeServer, ClosesRequestsAndRepliesWithoutEnd) {
  StartWithOthers();
  EXPECT_THAT(ExpectClosedAfter(CloseReason::kBadFrame,
                                raw::Frame(0x01, 0x40, 0, 1,
                                           raw::Number(uint64_t{0}) + std::string("\x01\0xm", 4))),
              HasSubstr("opens a stream and has a message"));
  EXPECT_THAT(ExpectClosedAfter(CloseReason::kBadFrame, raw::Frame(0x02, 0, 0, 1, "1234")),
              HasSubstr("does not end its call"));
}

TEST_F(NativeServer, ClosesCallNumbersThatDoNotRise) {
  StartWithOthers();
  for (const auto& [first, second] :
       std::vector<std::pair<uint64_t, uint64_t>>{{5, 5}, {5, 4}, {5, 0}, {1, 1}}) {
    const std::string why = ExpectClosedAfter(
        CloseReason::kBadFrame, raw::Request({.id = first, .message = raw::Text("x")}) +
                                    raw::Request({.id = second, .message = raw::Text("x")}));
    EXPECT_THAT(why, HasSubstr(absl::StrCat("call number ", second, " after ", first)));
  }
  ExpectClosedAfter(CloseReason::kBadFrame, raw::Request({.id = 0}));
  ExpectClosedAfter(CloseReason::kBadFrame, raw::Request({.id = kTopBit}));
  ExpectClosedAfter(CloseReason::kBadFrame, raw::Cancel(kTopBit | 1));
}

TEST_F(NativeServer, ClosesMethodNumbersThatWereNeverBound) {
  // Number 3 is within the limit and only unbound, number 4 is above it.
  options_.limits.max_methods = 3;
  StartWithOthers();
  for (const int number : {0, 1, 3, 4, 65'535}) {
    EXPECT_THAT(ExpectClosedAfter(CloseReason::kBadFrame,
                                  raw::Request({.id = 1, .number = number, .name = ""})),
                HasSubstr("never bound"));
  }
  EXPECT_THAT(ExpectClosedAfter(CloseReason::kBadFrame, raw::Request({.id = 1, .number = 4})),
              HasSubstr("max_methods"));
  ExpectClosedAfter(CloseReason::kBadFrame, raw::Request({.id = 1, .number = 1}) +
                                                raw::Request({.id = 2, .number = 2, .name = ""}));
}

TEST_F(NativeServer, ClosesPiecesThatFitNoMessage) {
  StartWithOthers();
  const std::string begin = raw::Request({.id = 1, .message = "0123456789", .more = 100});
  for (const std::string& bytes :
       {raw::Data(1, false, false, "x"),                           // never begun
        raw::Data(0, false, false, "x"),                           //
        raw::Data(1, true, false, "x"),                            // of this side's, likewise
        raw::Data(0, true, false, "x"),                            //
        raw::Reply(1, "x") + raw::Data(1, true, false, "x"),       //
        raw::Data(kTopBit | 1, false, false, "x"),                 //
        begin + raw::Data(2, false, false, "x"),                   // of another call
        begin + raw::Data(1, false, false, std::string(91, 'x')),  // too long
        begin + raw::Data(1, false, true, std::string(91, 'x')),   //
        begin + raw::Data(1, false, true, std::string(90, 'x')),   // the last one has MORE
        begin + raw::Data(1, false, false, std::string(89, 'x')),  // one before has not
        begin + raw::Data(1, false, true, std::string(89, 'x')) + raw::Data(1, false, true, "x"),
        begin + raw::Data(1, false, true, std::string(kMaxFrame, 'x'))}) {
    ExpectClosedAfter(CloseReason::kBadFrame, bytes);
  }
}

TEST_F(NativeServer, WritesNothingBehindAMessageWhosePieceDoesNotFit) {
  StartWithOthers();
  const std::string begin = raw::Request({.id = 1, .message = "0123456789", .more = 100});
  // 30,000 bytes for a message that misses 90. Taken unchecked, they would be read straight into
  // its block and beyond, so the header is cut at every byte.
  const std::string data = raw::Data(1, false, true, std::string(30'000, 'x'));
  for (size_t split = 1; split < kHeaderSize; ++split) {
    const auto before = Closed();
    RawPeer peer = Open();
    // In one segment, so that the answer says that all of it has been read.
    peer.Send(raw::Ping(1) + begin + data.substr(0, split));
    ASSERT_TRUE(peer.ReadFrame(FrameType::kPing).has_value());
    peer.Send(data.substr(split));
    ExpectClosed(peer, CloseReason::kBadFrame, before);
  }
}

TEST_F(NativeServer, RunsNothingThatStandsBehindAFault) {
  StartWithOthers();
  const int echoed = echo_.echoed.Get();
  RawPeer peer = Open();
  peer.Send(raw::Request({.id = 5, .name = "weft.test.EchoService/EchoInline"}) + raw::Hello() +
            raw::Request({.id = 6, .message = raw::Text("x")}));
  EXPECT_EQ(ReadAnswer(peer).id, 5u);
  const std::optional<RawFrame> last = peer.ReadFrame();
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->header.type, FrameType::kGoAway);
  EXPECT_EQ(peer.Read(1), "") << "an answer to what stands behind the fault";
  ExpectServed(*others_, ++others_calls_);
  // That one is the call of the other connection; EchoInline does not count.
  EXPECT_EQ(echo_.echoed.Get(), echoed + 1);
}

// ---- Replies to a side that asked nothing

TEST_F(NativeServer, DropsRepliesThatItDidNotAskFor) {
  Start();
  RawPeer peer = Open();
  // Nobody waits for them, so not even 2 GB that are announced matter.
  peer.Send(raw::Reply(1, "x") + raw::Error(2, 5, "no") + raw::ReplyBegin(3, 1'000, "x") +
            raw::ReplyBegin(3, 2'000'000'000, "x"));
  ExpectPong(peer);
  ExpectServed(peer, 1);
}

TEST_F(NativeServer, TellsRepliesFromRequestsByAllBitsOfTheirNumber) {
  StartWithOthers();
  ExpectClosedAfter(
      CloseReason::kBadFrame,
      raw::ReplyBegin(1, 1'000, "x") + raw::Data(kTopBit | 1, false, false, std::string(999, 'x')));
  ExpectClosedAfter(CloseReason::kBadFrame, raw::ReplyBegin(kTopBit | 1, 1'000, "x"));
}

// ---- Statuses on the call

TEST_F(NativeServer, NamesWhatThereIsWhenAServiceOrMethodIsUnknown) {
  Start();
  RawPeer peer = Open();
  peer.Send(raw::Request({.id = 1, .number = 7, .name = "no.Such/Method"}));
  Answer answer = ReadAnswer(peer);
  EXPECT_EQ(answer.code, absl::StatusCode::kUnimplemented);
  EXPECT_TRUE(answer.not_executed);
  EXPECT_THAT(answer.text, AllOf(HasSubstr("no.Such/Method"), HasSubstr("weft.test.EchoService")));
  // Its number is bound all the same.
  peer.Send(raw::Request({.id = 2, .number = 7, .name = ""}));
  answer = ReadAnswer(peer);
  EXPECT_EQ(answer.code, absl::StatusCode::kUnimplemented);
  EXPECT_THAT(answer.text, HasSubstr("no.Such/Method"));
  peer.Send(raw::Request({.id = 3, .name = "weft.test.EchoService/Ecco"}));
  answer = ReadAnswer(peer);
  EXPECT_EQ(answer.code, absl::StatusCode::kUnimplemented);
  EXPECT_THAT(answer.text, AllOf(HasSubstr("Ecco"), HasSubstr("Echo"), HasSubstr("Produce")));
  // However long: the text stays short, and so does what is kept of it.
  const std::string name = "weft.test.EchoService/" + std::string(30'000, 'x');
  peer.Send(raw::Request({.id = 4, .number = 8, .name = name}) +
            raw::Request({.id = 5, .number = 8, .name = ""}));
  for (const uint64_t id : {4u, 5u}) {
    answer = ReadAnswer(peer);
    EXPECT_EQ(answer.id, id);
    EXPECT_EQ(answer.code, absl::StatusCode::kUnimplemented);
    EXPECT_LT(answer.text.size(), 1'000u);
  }
  ExpectServed(peer, 6);
}

// A peer that makes names up fills no memory with them.
TEST_F(NativeServer, KeepsTheFirstUnknownNamesOnly) {
  Start();
  RawPeer peer = Open();
  for (int i = 1; i <= 100; ++i) {
    peer.Send(raw::Request(
        {.id = static_cast<uint64_t>(i), .number = i, .name = absl::StrCat("no.Such/Method", i)}));
    EXPECT_THAT(ReadAnswer(peer).text, HasSubstr(absl::StrCat("no.Such/Method", i)));
  }
  peer.Send(raw::Request({.id = 101, .number = 60, .name = ""}));
  EXPECT_THAT(ReadAnswer(peer).text, HasSubstr("no.Such/Method60"));
  peer.Send(raw::Request({.id = 102, .number = 90, .name = ""}));
  const Answer answer = ReadAnswer(peer);
  EXPECT_EQ(answer.code, absl::StatusCode::kUnimplemented);
  EXPECT_THAT(answer.text, HasSubstr("method number 90"));
  ExpectServed(peer, 103);
}

TEST_F(NativeServer, AnswersInternalToARequestThatCannotBeParsed) {
  Start();
  RawPeer peer = Open();
  for (const char* method : {"Echo", "EchoInline"}) {
    const uint64_t id = method == std::string("Echo") ? 1 : 2;
    peer.Send(raw::Request(
        {.id = id, .name = absl::StrCat("weft.test.EchoService/", method), .message = "\x0A\x7F"}));
    const Answer answer = ReadAnswer(peer);
    EXPECT_EQ(answer.code, absl::StatusCode::kInternal);
    EXPECT_TRUE(answer.not_executed);
    EXPECT_THAT(answer.text, AllOf(HasSubstr(method), HasSubstr("cannot parse the request"),
                                   HasSubstr("weft.test.EchoRequest")));
  }
  ExpectServed(peer, 3);
}

TEST_F(NativeServer, RefusesMessagesOverTheLimitWithBothNumbersAndTheSetting) {
  options_.limits.max_message_bytes = 1'000;
  Start();
  RawPeer peer = Open();
  const auto expect_refused = [&](uint64_t id, size_t size) {
    const Answer answer = ReadAnswer(peer);
    EXPECT_EQ(answer.id, id);
    EXPECT_EQ(answer.code, absl::StatusCode::kResourceExhausted);
    EXPECT_TRUE(answer.not_executed);
    EXPECT_THAT(answer.text, AllOf(HasSubstr(absl::StrCat(size)), HasSubstr("1000"),
                                   HasSubstr("max_message_bytes")));
  };
  // The field's tag and length take three bytes.
  peer.Send(raw::Request({.id = 1, .message = raw::Payload(std::string(998, 'x'))}));
  expect_refused(1, 1'001);
  peer.Send(raw::Request({.id = 2, .message = raw::Payload(std::string(997, 'x'))}));
  EXPECT_EQ(ReadAnswer(peer).code, absl::StatusCode::kOk);
  // Announced only: it is refused at once, and its pieces are dropped.
  peer.Send(raw::Request({.id = 3, .message = "x", .more = 2'000'000'000}));
  expect_refused(3, 2'000'000'000);
  peer.Send(raw::Data(3, false, true, std::string(30'000, 'x')) + raw::Data(3, false, true, "x"));
  ExpectServed(peer, 4);
}

TEST_F(NativeServer, BoundsUnfinishedMessagesTogether) {
  options_.limits.max_message_bytes = 1'000;
  Start();
  RawPeer peer = Open();
  // Unfinished messages have room for four times max_message_bytes: the fifth goes over it.
  for (uint64_t id = 1; id <= 5; ++id) peer.Send(raw::Request({.id = id, .more = 1'000}));
  const Answer answer = ReadAnswer(peer);
  EXPECT_EQ(answer.id, 5u);
  EXPECT_EQ(answer.code, absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(answer.not_executed);
  EXPECT_THAT(answer.text, AllOf(HasSubstr("4000"), HasSubstr("max_message_bytes")));
  // A message that is finished makes room.
  peer.Send(raw::Data(5, false, false, std::string(1'000, 'x')) +
            raw::Data(2, false, false, raw::Payload(std::string(997, 'x'))));
  EXPECT_EQ(ReadAnswer(peer).id, 2u);
  peer.Send(raw::Request({.id = 6, .more = 1'000}));
  peer.Send(raw::Data(6, false, false, raw::Payload(std::string(997, 'x'))));
  EXPECT_EQ(ReadAnswer(peer).id, 6u);
}

TEST_F(NativeServer, RefusesMetadataThatIsTooLargeOrBad) {
  options_.limits.max_metadata_bytes = 100;
  Start();
  RawPeer peer = Open();
  const auto pair = [](const std::string& key, const std::string& value) {
    return raw::Number(static_cast<uint16_t>(key.size())) + key +
           raw::Number(static_cast<uint32_t>(value.size())) + value;
  };
  // The two lengths take six bytes, and the key one: just 100 together.
  peer.Send(raw::Request({.id = 1, .metadata = pair("k", std::string(93, 'v'))}));
  EXPECT_EQ(ReadAnswer(peer).code, absl::StatusCode::kOk);
  peer.Send(raw::Request({.id = 2, .metadata = pair("k", std::string(94, 'v'))}));
  Answer answer = ReadAnswer(peer);
  EXPECT_EQ(answer.code, absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(answer.not_executed);
  EXPECT_THAT(answer.text,
              AllOf(HasSubstr("101"), HasSubstr("100"), HasSubstr("max_metadata_bytes")));
  uint64_t id = 3;
  for (const std::string& bad : {pair("Key", "v"), pair("k", "\n"), pair("", "v"),
                                 pair("k", "v").substr(0, 7), std::string("\xFF", 1)}) {
    peer.Send(raw::Request({.id = id, .metadata = bad}));
    answer = ReadAnswer(peer);
    EXPECT_EQ(answer.id, id++);
    EXPECT_EQ(answer.code, absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(answer.not_executed);
  }
  ExpectServed(peer, id);
}

TEST_F(NativeServer, RefusesTooManyCallsUntilOneEnds) {
  options_.limits.max_calls = 2;
  Start();
  RawPeer peer = Open();
  const std::string hang = "weft.test.EchoService/Hang";
  for (uint64_t id = 1; id <= 3; ++id) {
    peer.Send(raw::Request({.id = id, .name = hang, .message = raw::Text("x")}));
  }
  const Answer refused = ReadAnswer(peer);
  EXPECT_EQ(refused.id, 3u);
  EXPECT_EQ(refused.code, absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(refused.not_executed);
  EXPECT_THAT(refused.text, AllOf(HasSubstr("2 calls"), HasSubstr("max_calls")));
  echo_.Held(0).Finish();
  ReadAnswer(peer);
  ExpectServed(peer, 4);
  echo_.Held(1).Finish();
  EXPECT_EQ(ReadAnswer(peer).code, absl::StatusCode::kOk);
}

TEST_F(NativeServer, NeverRefusesAPeerThatKeepsToMaxCalls) {
  options_.limits.max_calls = 1;
  Start();
  RawPeer peer = Open();
  // The next one leaves as soon as the answer is here, be the call back in its pool or not.
  for (uint64_t id = 1; id <= 3'000; ++id) {
    peer.Send(
        raw::Request({.id = id, .number = 1, .name = id == 1 ? "weft.test.EchoService/Echo" : ""}));
    const Answer answer = ReadAnswer(peer);
    ASSERT_EQ(answer.id, id);
    ASSERT_EQ(answer.code, absl::StatusCode::kOk) << answer.text;
  }
}

// ---- Names and numbers

TEST_F(NativeServer, BindsNumbersToNamesUntilTheyAreBoundAgain) {
  options_.limits.max_methods = 2;
  Start();
  RawPeer peer = Open();
  const std::string message = raw::Text("hi");
  const auto call = [&](uint64_t id, int number, const std::string& name) {
    peer.Send(raw::Request({.id = id, .number = number, .name = name, .message = message}));
    return ReadAnswer(peer);
  };
  EXPECT_EQ(call(1, 2, "weft.test.EchoService/Echo").message, message);
  EXPECT_EQ(call(2, 2, "").message, message);
  EXPECT_EQ(call(3, 1, "weft.test.EchoService/Nothing").code, absl::StatusCode::kUnimplemented);
  EXPECT_EQ(call(4, 1, "").code, absl::StatusCode::kUnimplemented);
  EXPECT_EQ(call(5, 1, "weft.test.EchoService/EchoInline").message, message);
  EXPECT_EQ(call(6, 1, "").message, message);
  EXPECT_EQ(call(7, 2, "weft.test.EchoService/Nothing").code, absl::StatusCode::kUnimplemented);
  EXPECT_EQ(call(8, 2, "").code, absl::StatusCode::kUnimplemented);
  // Number 0 binds nothing.
  EXPECT_EQ(call(9, 0, "weft.test.EchoService/Echo").message, message);
  // Numbers may leave gaps.
  EXPECT_EQ(call(1'000'000, 1, "").message, message);
}

// ---- Pieces

TEST_F(NativeServer, PutsInterleavedPiecesTogether) {
  Start();
  RawPeer peer = Open({.max_frame = 32 << 10});
  // A fixed seed: a failure comes again.
  std::mt19937 random(5);
  struct Sent {
    std::string message;
    size_t done = 0;
  };
  std::map<uint64_t, Sent> calls;
  std::string bytes;
  for (uint64_t id = 1; id <= 4; ++id) {
    Sent call;
    call.message = raw::Payload(std::string(30'000 * id, static_cast<char>('a' + id)));
    call.done = id * 100;
    bytes += raw::Request({.id = id,
                           .message = call.message.substr(0, call.done),
                           .more = static_cast<uint32_t>(call.message.size())});
    calls[id] = call;
  }
  // In a random order of calls, with pieces of random sizes.
  for (std::map<uint64_t, Sent> left = calls; !left.empty();) {
    const auto it = std::next(left.begin(), static_cast<std::ptrdiff_t>(random() % left.size()));
    Sent& call = it->second;
    const size_t part = std::min<size_t>(1 + random() % 20'000, call.message.size() - call.done);
    const bool more = call.done + part < call.message.size();
    bytes += raw::Data(it->first, false, more, call.message.substr(call.done, part));
    call.done += part;
    if (!more) left.erase(it);
  }
  // Sent in parts that end anywhere, so frames and headers come cut.
  for (size_t at = 0; at < bytes.size();) {
    const size_t part = std::min<size_t>(1 + random() % 50'000, bytes.size() - at);
    peer.Send(bytes.substr(at, part));
    at += part;
  }
  // The answers' pieces are mixed likewise.
  std::map<uint64_t, std::string> answers;
  while (!calls.empty()) {
    const std::optional<RawFrame> frame = peer.ReadFrame();
    ASSERT_TRUE(frame.has_value());
    const uint64_t id = frame->header.id;
    if (frame->header.type == FrameType::kResponse) {
      ResponseFrame sections;
      ASSERT_EQ(FrameReader::ReadResponse(frame->header, frame->body, &sections),
                FrameError::kNone);
      answers[id] = sections.payload.bytes;
    } else {
      ASSERT_EQ(frame->header.type, FrameType::kData);
      answers[id] += frame->body;
    }
    if (frame->header.has(kMore)) continue;
    EXPECT_TRUE(answers[id] == calls[id].message) << id;
    calls.erase(id);
  }
}

TEST_F(NativeServer, SendsNoFrameLongerThanThePeersLimit) {
  Start();
  for (const uint32_t max_frame : {uint32_t{32} << 10, uint32_t{50'000}, uint32_t{16} << 20}) {
    RawPeer peer = Open({.max_frame = max_frame});
    peer.Send(raw::Request(
        {.id = 1, .name = "weft.test.EchoService/Produce", .message = raw::Varint(1, 150'000)}));
    std::string message;
    for (bool more = true; more;) {
      const std::optional<RawFrame> frame = peer.ReadFrame();
      ASSERT_TRUE(frame.has_value());
      EXPECT_LE(frame->header.length, max_frame);
      more = frame->header.has(kMore);
      message += frame->body;
    }
    // The bodies hold sections, too.
    EXPECT_GT(message.size(), 150'000u);
  }
}

TEST_F(NativeServer, HoldsItsRepliesToThePeersLimits) {
  Start();
  RawPeer peer = Open({.max_message = 1'000, .max_metadata = 50});
  peer.Send(raw::Request(
      {.id = 1, .name = "weft.test.EchoService/Produce", .message = raw::Varint(1, 998)}));
  Answer answer = ReadAnswer(peer);
  EXPECT_EQ(answer.code, absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(answer.not_executed);
  EXPECT_THAT(answer.text, AllOf(HasSubstr("1001"), HasSubstr("1000"),
                                 HasSubstr("max_message_bytes of the channel")));
  // Code 13, with a message that asks for so many bytes of trailers.
  peer.Send(raw::Request({.id = 2,
                          .name = "weft.test.EchoService/Fail",
                          .message = raw::Varint(1, 13) + "\x12\x02"
                                                          "43"}));
  answer = ReadAnswer(peer);
  // 43 bytes, 1 of the key and 6 of both lengths: just as many as the peer takes.
  EXPECT_EQ(answer.metadata.size(), 50u);
  peer.Send(raw::Request({.id = 3,
                          .name = "weft.test.EchoService/Fail",
                          .message = raw::Varint(1, 13) + "\x12\x02"
                                                          "44"}));
  answer = ReadAnswer(peer);
  EXPECT_EQ(answer.code, absl::StatusCode::kInternal);
  EXPECT_EQ(answer.text, "44") << "the handler's own error goes before its trailers";
  EXPECT_EQ(answer.metadata, "");
}

TEST_F(NativeServer, LeavesOutTrailersThatNoFrameHolds) {
  // A setting that is more than the wire has.
  options_.limits.max_metadata_bytes = 1 << 20;
  Start();
  RawPeer peer = Open({.max_metadata = 1 << 20});
  peer.Send(raw::Request({.id = 1,
                          .name = "weft.test.EchoService/Fail",
                          .message = raw::Varint(1, 13) + "\x12\x06"
                                                          "100000"}));
  const Answer answer = ReadAnswer(peer);
  EXPECT_EQ(answer.code, absl::StatusCode::kInternal);
  EXPECT_EQ(answer.text, "100000");
  EXPECT_EQ(answer.metadata, "");
  ExpectServed(peer, 2);
}

// ---- Who may talk

// The authenticator waits for verdict_, and knows the token "good" alone.
class NativeServerWithVerdict : public NativeServer {
 protected:
  NativeServerWithVerdict() {
    options_.authenticator = [this](std::string_view token,
                                    const std::string&) -> absl::StatusOr<std::string> {
      asked_.Notify();
      EXPECT_TRUE(verdict_.Wait());
      if (token == "good") return std::string("somebody");
      return absl::UnauthenticatedError("who are you?");
    };
  }
  void TearDown() override {
    verdict_.Notify();
    NativeServer::TearDown();
  }

  RawPeer OpenWith(const std::string& token, const std::string& behind) {
    RawPeer peer = Connect();
    peer.Send(raw::Opening({.token = token}) + behind);
    ReadOpening(peer);
    EXPECT_TRUE(asked_.Wait());
    return peer;
  }

  Notification asked_, verdict_;
};

TEST_F(NativeServerWithVerdict, HoldsCallsUntilTheVerdictAndServesThem) {
  Start();
  std::string calls;
  for (uint64_t id = 1; id <= 10; ++id) {
    calls += raw::Request(
        {.id = id,
         .name = absl::StrCat("weft.test.EchoService/", id % 2 == 0 ? "Echo" : "EchoInline"),
         .message = raw::Text(absl::StrCat(id))});
  }
  // A message in pieces, of which the second comes while the first is held.
  calls += raw::Request({.id = 11, .message = "\x0A", .more = 3});
  RawPeer peer = OpenWith("good", calls);
  ExpectPong(peer);  // answered meanwhile
  EXPECT_EQ(echo_.echoed.Get(), 0);
  peer.Send(raw::Data(11, false, false, std::string("\x01x", 2)));
  ExpectPong(peer);
  EXPECT_EQ(echo_.echoed.Get(), 0);
  verdict_.Notify();
  std::map<uint64_t, std::string> answers;
  for (int i = 0; i < 11; ++i) {
    const Answer answer = ReadAnswer(peer);
    EXPECT_EQ(answer.code, absl::StatusCode::kOk) << answer.text;
    answers[answer.id] = answer.message;
  }
  for (uint64_t id = 1; id <= 10; ++id) EXPECT_EQ(answers[id], raw::Text(absl::StrCat(id)));
  EXPECT_EQ(answers[11], raw::Payload("x"));
}

TEST_F(NativeServerWithVerdict, RefusesHeldCallsWithoutExecutingThem) {
  Start();
  const auto before = Closed();
  RawPeer peer = OpenWith("bad", raw::Request({.id = 1}) + raw::Request({.id = 2}));
  ExpectPong(peer);
  verdict_.Notify();
  for (const uint64_t id : {1u, 2u}) {
    const Answer answer = ReadAnswer(peer);
    EXPECT_EQ(answer.id, id);
    EXPECT_EQ(answer.code, absl::StatusCode::kUnauthenticated);
    EXPECT_TRUE(answer.not_executed);
    EXPECT_EQ(answer.text, "the token is refused: who are you?");
  }
  const std::optional<RawFrame> goaway = peer.ReadFrame(FrameType::kGoAway);
  ASSERT_TRUE(goaway.has_value());
  EXPECT_EQ(goaway->header.aux, 16);
  EXPECT_EQ(goaway->body, "the token is refused: who are you?");
  ExpectClosed(peer, CloseReason::kUnauthenticated, before);
  EXPECT_EQ(echo_.echoed.Get(), 0);
}

TEST_F(NativeServerWithVerdict, SaysNoMoreOfARefusalThanItsBeginning) {
  options_.authenticator = [this](std::string_view, const std::string&) {
    EXPECT_TRUE(verdict_.Wait());
    return absl::StatusOr<std::string>(absl::UnauthenticatedError(std::string(5'000, 'n')));
  };
  Start();
  RawPeer peer = Open();
  peer.Send(raw::Request({.id = 1}));
  ExpectPong(peer);
  verdict_.Notify();
  const std::string told = ReadAnswer(peer).text;
  EXPECT_EQ(told.size(), 1'024u);
  EXPECT_TRUE(absl::StartsWith(told, "no token was shown (auth_token): nnn")) << told;
}

// Nothing is lost or refused: what is too much to be kept waits in the kernel.
TEST_F(NativeServerWithVerdict, ReadsOnlySoMuchBeforeTheVerdict) {
  options_.limits.max_calls = 100'000;
  Start();
  const std::string call = raw::Request({.id = 1});
  const uint64_t calls = 2 * HeldFrames::kMaxBytes / call.size();
  std::string bytes;
  for (uint64_t id = 1; id <= calls; ++id) bytes += raw::Request({.id = id});
  RawPeer peer = OpenWith("good", "");
  peer.Send(bytes + raw::Ping(5));
  EXPECT_TRUE(PollUntil([this] {
    const auto list = server_->connection_list();
    return list.size() == 1 && list[0].bytes_in > HeldFrames::kMaxBytes / 2;
  }));
  EXPECT_EQ(echo_.echoed.Get(), 0);
  // Turns of the same loop come and go, and what is behind stays where it is.
  std::vector<RawPeer> others;
  for (int i = 0; i < 4; ++i) others.push_back(OpenWith("good", ""));
  for (int i = 0; i < 20; ++i) {
    for (RawPeer& other : others) ExpectPong(other);
  }
  EXPECT_LT(server_->connection_list().at(0).bytes_in, bytes.size());
  verdict_.Notify();
  for (uint64_t i = 0; i < calls; ++i) ASSERT_EQ(ReadAnswer(peer).code, absl::StatusCode::kOk);
}

TEST_F(NativeServerWithVerdict, RefusesAPeerThatStillSends) {
  Start();
  const auto before = Closed();
  // More than HeldFrames keeps: the server stops reading, so the last request lies unread when the
  // verdict comes. Closed at once, the connection would be reset, and the GOAWAY lost.
  const std::string large =
      raw::Request({.id = 1, .message = std::string(30'000, 'x'), .more = 150'000});
  RawPeer peer = OpenWith("bad", large);
  for (int i = 0; i < 3; ++i) peer.Send(raw::Data(1, false, true, std::string(30'000, 'x')));
  peer.Send(raw::Data(1, false, false, std::string(30'000, 'x')) + raw::Request({.id = 2}));
  verdict_.Notify();
  const Answer answer = ReadAnswer(peer);
  EXPECT_EQ(answer.id, 1u);
  EXPECT_EQ(answer.text, "the token is refused: who are you?");
  const std::optional<RawFrame> goaway = peer.ReadFrame(FrameType::kGoAway);
  ASSERT_TRUE(goaway.has_value()) << "the connection was reset";
  EXPECT_EQ(goaway->header.id, 0u) << "none of its calls was taken";
  EXPECT_EQ(goaway->body, "the token is refused: who are you?");
  peer.ShutDownWrites();
  ExpectClosed(peer, CloseReason::kUnauthenticated, before);
}

// A peer learns only that it may not call, whatever it asks for.
TEST_F(NativeServerWithVerdict, SaysNothingBeforeTheVerdict) {
  Start();
  const std::vector<std::string> calls = {
      raw::Request({.id = 1, .name = "no.Such/Method"}),
      raw::Request({.id = 2, .number = 3, .name = "weft.test.EchoService/Nope"}),
      raw::Request({.id = 3, .number = 3, .name = ""}),
      raw::Request({.id = 4, .opens = true}),  // takes no stream
      raw::Request({.id = 5, .metadata = std::string(30'000, 'm')}),
      raw::Request({.id = 6, .message = "x", .more = kMaxMessage + 1})};
  const std::string behind = raw::Message(4, false, "x") + raw::Window(1, false, 1) +
                             raw::Window(4, true, 5) + raw::Headers(9, "") + raw::Cancel(6) +
                             raw::Data(6, false, true, "x") + raw::Data(9, true, true, "x") +
                             raw::Request({.id = 6, .number = 30'000});
  std::string bytes = raw::Opening({.token = "bad"});
  for (const std::string& call : calls) bytes += call;
  const auto before = Closed();
  RawPeer peer = Connect();
  peer.Send(bytes + behind + raw::Ping(9));
  ReadOpening(peer);
  const std::optional<RawFrame> pong = peer.ReadFrame();
  ASSERT_TRUE(pong.has_value());
  EXPECT_EQ(pong->header.type, FrameType::kPing) << "the first thing that is said";
  EXPECT_EQ(Closed(), before);
  verdict_.Notify();
  // The second request 6 is a fault only for a peer that is known: here it is refused as well.
  for (uint64_t id = 1; id <= calls.size() + 1; ++id) {
    const Answer answer = ReadAnswer(peer);
    EXPECT_EQ(answer.id, std::min<uint64_t>(id, calls.size()));
    EXPECT_EQ(answer.code, absl::StatusCode::kUnauthenticated);
    EXPECT_TRUE(answer.not_executed);
    EXPECT_EQ(answer.text, "the token is refused: who are you?");
  }
  const std::optional<RawFrame> last = peer.ReadFrame();
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->header.type, FrameType::kGoAway);
  EXPECT_EQ(last->body, "the token is refused: who are you?");
  ExpectClosed(peer, CloseReason::kUnauthenticated, before);
}

// And a peer that may talk is told then, in the order of the wire.
TEST_F(NativeServerWithVerdict, TellsWhatIsWrongAfterTheVerdict) {
  Start();
  RawPeer peer = OpenWith("good", raw::Request({.id = 1, .name = "no.Such/Method"}) +
                                      raw::Request({.id = 2, .message = "x", .more = 250'000}) +
                                      raw::Request({.id = 3, .message = raw::Text("x")}));
  verdict_.Notify();
  Answer answer = ReadAnswer(peer);
  EXPECT_EQ(answer.id, 1u);
  EXPECT_THAT(answer.text, HasSubstr("weft.test.EchoService"));
  answer = ReadAnswer(peer);
  EXPECT_EQ(answer.id, 2u);
  EXPECT_EQ(answer.code, absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadAnswer(peer).message, raw::Text("x"));
}

TEST_F(NativeServerWithVerdict, SurvivesEveryEndBeforeTheVerdict) {
  Start();
  const std::string calls =
      raw::Request({.id = 1}) + raw::Request({.id = 2, .message = "x", .more = 10});
  {
    const auto before = Closed();
    RawPeer peer = OpenWith("good", calls);
    peer.ShutDownWrites();
    ExpectClosed(peer, CloseReason::kPeerClosed, before);
  }
  {
    const auto before = Closed();
    RawPeer peer = Connect();
    peer.Send(raw::Opening({.token = "good"}) + calls + raw::Hello());
    ExpectClosed(peer, CloseReason::kBadFrame, before);
  }
  {
    const auto before = Closed();
    RawPeer peer = Connect();
    peer.Send(raw::Opening({.token = "good"}) + calls + raw::Frame(0x55, 0, 0, 0));
    ExpectClosed(peer, CloseReason::kBadFrame, before);
  }
  verdict_.Notify();
  RawPeer peer = Open({.token = "good"});
  ExpectServed(peer, 1);
  EXPECT_EQ(echo_.echoed.Get(), 1);
}

TEST_F(NativeServerWithVerdict, ClosesAPeerThatDoesNotReadItsPongs) {
  const auto log = std::make_shared<LogLines>();
  options_.log = {.level = LogLevel::kWarning, .sink = log};
  options_.limits.max_output_bytes = 100'000;
  Start();
  const auto before = Closed();
  RawPeer peer = RawPeer::ConnectTo(server_->port(), 4'096);
  peer.Send(raw::Opening({.token = "good"}));
  EXPECT_TRUE(asked_.Wait());
  std::string pings;
  for (uint64_t id = 0; id < 4'096; ++id) pings += raw::Ping(id);
  // More than any kernel keeps for it.
  for (int i = 0; i < 1'000 && Closed() == before; ++i) peer.Send(pings);
  ExpectClosed(peer, CloseReason::kOutputFull, before);
  // The line may come a moment after the count.
  EXPECT_TRUE(PollUntil([&] {
    return absl::StrContains(log->Text(), "(limit 100000 bytes, max_output_bytes of the server)");
  }));
}

// ---- Cancel, ping, goaway

TEST_F(NativeServer, AnswersPings) {
  Start();
  RawPeer peer = Open();
  for (const uint64_t id : {uint64_t{0}, uint64_t{1}, kTopBit, UINT64_MAX}) ExpectPong(peer, id);
  // An answer that nobody asked for is no question.
  peer.Send(raw::Frame(0x06, 0x80, 0, 5));
  ExpectPong(peer, 6);
}

TEST_F(NativeServer, ClosesAPeerThatDoesNotAnswerItsPings) {
  options_.limits.heartbeat_interval = absl::Milliseconds(20);
  options_.limits.heartbeat_misses = 2;
  Start();
  const auto before = Closed();
  RawPeer peer = Open({.heartbeat_ms = 30});
  for (int i = 0; i < 2; ++i) {
    const std::optional<RawFrame> ping = peer.ReadFrame();
    ASSERT_TRUE(ping.has_value());
    EXPECT_EQ(ping->header.type, FrameType::kPing);
    EXPECT_FALSE(ping->header.has(kReply));
  }
  ExpectClosed(peer, CloseReason::kSilent, before);
}

TEST_F(NativeServer, KeepsAPeerThatAnswersItsPings) {
  options_.limits.heartbeat_interval = absl::Milliseconds(20);
  options_.limits.heartbeat_misses = 1'000;  // a machine may be slow
  Start();
  RawPeer peer = Open({.heartbeat_ms = 1});
  for (int i = 0; i < 3; ++i) {
    const std::optional<RawFrame> ping = peer.ReadFrame(FrameType::kPing);
    ASSERT_TRUE(ping.has_value());
    peer.Send(raw::Frame(0x06, 0x80, 0, ping->header.id));
  }
  ExpectServed(peer, 1);
}

TEST_F(NativeServer, TellsARunningCallThatItIsCancelled) {
  Start();
  RawPeer peer = Open();
  const std::string hang = "weft.test.EchoService/Hang";
  peer.Send(raw::Request({.id = 1, .name = hang}) + raw::Request({.id = 2, .name = hang}));
  // Two workers run them: either may have come first.
  Responder<EchoReply>& one = echo_.Held(0);
  Responder<EchoReply>& two = echo_.Held(1);
  EXPECT_FALSE(one.context().cancelled() || two.context().cancelled());
  peer.Send(raw::Cancel(2) + raw::Cancel(3) + raw::Cancel(0));  // of two nothing is known
  ExpectPong(peer);
  EXPECT_TRUE(one.context().cancelled() != two.context().cancelled());
  one.Finish();
  two.Finish(absl::CancelledError("gave up"));
  std::map<uint64_t, absl::StatusCode> answers;
  for (int i = 0; i < 2; ++i) {
    const Answer answer = ReadAnswer(peer);
    EXPECT_FALSE(answer.not_executed);
    answers[answer.id] = answer.code;
  }
  EXPECT_EQ(answers.size(), 2u);
  peer.Send(raw::Cancel(1) + raw::Cancel(2));  // too late
  ExpectServed(peer, 3);
}

TEST_F(NativeServer, NeverExecutesACallCancelledOrExpiredInTheQueue) {
  options_.runtime = test::QuietRuntime(/*workers=*/1);
  Notification release;
  Notification running;
  echo_.in_echo = [&](ServerContext&) {
    running.Notify();
    EXPECT_TRUE(release.Wait());
  };
  Start();
  RawPeer peer = Open();
  peer.Send(raw::Request({.id = 1}));
  EXPECT_TRUE(running.Wait());
  // The only worker is inside call 1.
  peer.Send(raw::Request({.id = 2}) + raw::Request({.id = 3, .timeout_us = 1}) + raw::Cancel(2));
  ExpectPong(peer);
  // The answer to the PING says that the CANCEL was read while call 2 waited.
  release.Notify();
  std::map<uint64_t, Answer> answers;
  for (int i = 0; i < 3; ++i) {
    const Answer answer = ReadAnswer(peer);
    answers[answer.id] = answer;
  }
  EXPECT_EQ(answers[1].code, absl::StatusCode::kOk);
  EXPECT_EQ(answers[2].code, absl::StatusCode::kCancelled);
  EXPECT_TRUE(answers[2].not_executed);
  EXPECT_EQ(answers[3].code, absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(answers[3].not_executed);
  EXPECT_EQ(echo_.echoed.Get(), 1);
}

TEST_F(NativeServer, CancelsWhatRunsWhenTheConnectionEnds) {
  StartWithOthers();
  for (const bool reset : {false, true}) {
    const auto before = Closed();
    const size_t n = echo_.held();
    RawPeer peer = Open();
    peer.Send(raw::Request({.id = 1, .name = "weft.test.EchoService/Hang"}));
    Responder<EchoReply>& held = echo_.Held(n);
    EXPECT_FALSE(held.context().cancelled());
    reset ? peer.Reset() : peer.Close();
    EXPECT_TRUE(PollUntil([&] { return held.context().cancelled(); }));
    EXPECT_TRUE(PollUntil([&] { return Closed() != before; }));
    held.Finish();  // for nobody
    EXPECT_FALSE(echo_.Held(0).context().cancelled());
  }
  ExpectServed(*others_, ++others_calls_);
}

TEST_F(NativeServer, ConfirmsAGoAwayAndServesOn) {
  Start();
  RawPeer peer = Open();
  peer.Send(raw::GoAway(0, "going") + raw::GoAway(0, "going"));
  for (int i = 0; i < 2; ++i) {
    const std::optional<RawFrame> ack = peer.ReadFrame();
    ASSERT_TRUE(ack.has_value());
    EXPECT_EQ(ack->header.type, FrameType::kGoAwayAck);
  }
  peer.Send(raw::GoAwayAck());  // a confirmation of nothing
  ExpectServed(peer, 1);
}

TEST_F(NativeServer, SaysWhichCallItTookLastWhenItStops) {
  Start();
  RawPeer peer = Open();
  peer.Send(raw::Request({.id = 7, .name = "weft.test.EchoService/Hang"}));
  Responder<EchoReply>& held = echo_.Held(0);
  RawPeer opening = Connect();  // has not even begun
  const auto before = Closed();
  std::thread stopper([&] { server_->Stop(absl::Seconds(30)); });
  ExpectGoAway(peer, kNoCallNamed, "the server is stopping");
  // A call that left before the peer had heard of the end is served.
  ExpectServed(peer, 8);
  peer.Send(raw::GoAwayAck());
  ExpectGoAway(peer, 8, "the server is stopping");
  // Later calls are refused, those that were taken are served.
  peer.Send(raw::Request({.id = 9}));
  const Answer refused = ReadAnswer(peer);
  EXPECT_EQ(refused.id, 9u);
  EXPECT_EQ(refused.code, absl::StatusCode::kUnavailable);
  EXPECT_TRUE(refused.not_executed);
  peer.Send(raw::GoAwayAck());
  held.Finish();
  const Answer served = ReadAnswer(peer);
  EXPECT_EQ(served.id, 7u);
  EXPECT_EQ(served.code, absl::StatusCode::kOk);
  EXPECT_TRUE(peer.WaitForClose());
  EXPECT_EQ(opening.Read(1), "") << "nothing goes before the preface";
  stopper.join();
  EXPECT_GT(server_->closed(CloseReason::kLocal), before[static_cast<size_t>(CloseReason::kLocal)]);
}

TEST_F(NativeServer, NamesTheLastCallBeforeItClosesUnconfirmed) {
  Start();
  RawPeer peer = Open();
  peer.Send(raw::Request({.id = 7, .name = "weft.test.EchoService/Hang"}));
  Responder<EchoReply>& held = echo_.Held(0);
  // No time to wait for the confirmation: the last call is named at once.
  std::thread stopper([&] { server_->Stop(absl::ZeroDuration()); });
  ExpectGoAway(peer, kNoCallNamed, "the server is stopping");
  ExpectGoAway(peer, 7, "the server is stopping");
  EXPECT_TRUE(peer.WaitForClose());
  held.Finish();
  stopper.join();
}

TEST_F(NativeServer, NamesTheLastCallWhenAFaultEndsWhatWasAnnounced) {
  Start();
  RawPeer peer = Open();
  peer.Send(raw::Request({.id = 7, .name = "weft.test.EchoService/Hang"}));
  Responder<EchoReply>& held = echo_.Held(0);
  std::thread stopper([&] { server_->Stop(absl::Seconds(30)); });
  ExpectGoAway(peer, kNoCallNamed, "the server is stopping");
  ExpectServed(peer, 8);
  // Call 9 stands behind the fault and is not taken, so 8 stays the last one.
  peer.Send(raw::Request({.id = 3}) + raw::Request({.id = 9}));
  ExpectGoAway(peer, 8, "call number 3 after 8");
  EXPECT_TRUE(peer.WaitForClose());
  held.Finish();
  stopper.join();
}

TEST_F(NativeServer, IsConfirmedOnlyWhenItsLastWordIs) {
  Start();
  RawPeer peer = Open();
  peer.Send(raw::GoAwayAck() + raw::GoAwayAck());  // of nothing: they do not count later
  ExpectPong(peer);
  std::thread stopper([&] { server_->Stop(absl::Seconds(30)); });
  ExpectGoAway(peer, kNoCallNamed, "the server is stopping");
  ExpectServed(peer, 1);
  peer.Send(raw::GoAwayAck());
  ExpectGoAway(peer, 1, "the server is stopping");
  peer.Send(raw::GoAwayAck());
  EXPECT_TRUE(peer.WaitForClose());
  stopper.join();
}

}  // namespace
}  // namespace weft::internal::native
