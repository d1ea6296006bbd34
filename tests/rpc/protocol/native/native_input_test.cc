// The input that a peer may make the other side hold, and for how long: a real server or channel
// against a peer that the test plays byte by byte, by a clock that the test moves.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/protos/rows.weft.h"
#include "tests/rpc/protocol/native/held_echo.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "tests/support/watched.h"
#include "weft/core/input_account.h"
#include "weft/core/loop_group.h"
#include "weft/core/manual_clock.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/protocol/native/frame_reader.h"
#include "weft/rpc/server.h"

namespace weft::internal::native {
namespace {

using absl::StatusCode;
using test::EchoReply;
using test::EchoRequest;
using test::EchoService;
using test::HeldEcho;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Below the default limit of a message, 64 MiB: it is taken when it is announced.
constexpr uint32_t kHuge = 63 << 20;
// Below the default limit of a frame, 64 KiB, which both sides have here.
constexpr size_t kPiece = 60'000;

// An EchoRequest of `size` bytes, if its length takes three of them: from 16 KiB to 2 MiB. Smaller
// ones have a byte less, larger ones a byte more.
std::string EchoBytes(size_t size) { return raw::Payload(std::string(size - 4, 'e')); }

// Reads the rows of a call when the test says so.
class HeldRows final : public test::Rows::Service {
 public:
  absl::Status Add(ServerContext&, ServerReader<test::Row>& rows, test::RowSum& sum) override {
    EXPECT_TRUE(reads.WaitForValue(true));
    test::Row row;
    while (rows.Read(&row)) sum.set_rows(sum.rows() + 1);
    return absl::OkStatus();
  }
  Watched<bool> reads{false};
};

RuntimeOptions Quiet(const Clock* clock) {
  RuntimeOptions options;
  // HeldRows blocks a worker for each of its calls.
  options.worker_threads = 4;
  options.log_level = LogLevel::kOff;
  options.clock = clock;
  return options;
}

// A server on a clock that the test moves. No heartbeat but where a test wants one.
class NativeInput : public testing::Test {
 protected:
  NativeInput() {
    options_.limits.heartbeat_interval = absl::ZeroDuration();
    options_.max_heartbeat_interval = absl::ZeroDuration();
  }
  ~NativeInput() override {
    echo_.End();
    rows_.reads.Set(true);
    if (server_ != nullptr) server_->Stop(absl::Seconds(30));
  }
  void Start(bool ordered = false) {
    runtime_.clock = &clock_;
    options_.runtime = *Runtime::Create(runtime_);
    server_ = std::make_unique<Server>(options_);
    ASSERT_TRUE(server_->Register(echo_).ok());
    ASSERT_TRUE(server_->Register(rows_).ok());
    ASSERT_TRUE(server_->Configure(EchoService::kEcho, {.ordered = ordered}).ok());
    ASSERT_TRUE(server_->Start("127.0.0.1:0").ok());
  }
  // Every client is let in, when verdict_ is notified.
  void HoldUntilVerdict() {
    options_.authenticator = [this](std::string_view, const std::string&) {
      EXPECT_TRUE(verdict_.Wait());
      return absl::StatusOr<std::string>("somebody");
    };
  }
  RawPeer Open(raw::HelloFields hello = {}, int receive_buffer = 0) {
    RawPeer peer = RawPeer::ConnectTo(server_->port(), receive_buffer);
    peer.Send(raw::Opening(hello));
    EXPECT_EQ(peer.Read(8), raw::Preface());
    EXPECT_TRUE(peer.ReadFrame(FrameType::kHello).has_value());
    return peer;
  }
  // Returns when the server has taken all that was sent.
  static void Settle(RawPeer& peer) {
    peer.Send(raw::Ping(9));
    ASSERT_TRUE(peer.ReadFrame(FrameType::kPing).has_value());
  }
  // The same of a connection inside a frame: when it has read so many bytes.
  [[nodiscard]] bool AwaitBytes(uint64_t bytes) {
    return PollUntil([&] { return server_->connection_list().at(0).bytes_in == bytes; });
  }
  static void ExpectError(RawPeer& peer, uint64_t id, StatusCode code, const std::string& text) {
    const std::optional<RawFrame> frame = peer.ReadFrame(FrameType::kResponse);
    ASSERT_TRUE(frame.has_value());
    ResponseFrame sections;
    ASSERT_EQ(FrameReader::ReadResponse(frame->header, frame->body, &sections), FrameError::kNone);
    EXPECT_EQ(frame->header.id, id);
    EXPECT_EQ(static_cast<StatusCode>(frame->header.aux), code);
    EXPECT_THAT(std::string(sections.error_message), HasSubstr(text));
    EXPECT_TRUE(frame->header.has(kNotExecuted)) << sections.error_message;
  }
  static void ExpectServed(RawPeer& peer, uint64_t id) {
    peer.Send(raw::Request({.id = id, .message = raw::Text("still here")}));
    const std::optional<RawFrame> frame = peer.ReadFrame(FrameType::kResponse);
    ASSERT_TRUE(frame.has_value());
    EXPECT_EQ(frame->header.id, id);
    EXPECT_EQ(frame->header.aux, 0);
  }
  // A request of which the first `have` of `whole` bytes come, in pieces.
  static std::string Half(uint64_t id, uint32_t whole, size_t have, uint64_t timeout_us = 0) {
    const size_t first = std::min(have, kPiece);
    std::string bytes = raw::Request(
        {.id = id, .timeout_us = timeout_us, .message = std::string(first, 'h'), .more = whole});
    for (size_t left = have - first; left > 0;) {
      const size_t piece = std::min(left, kPiece);
      bytes += raw::Data(id, false, true, std::string(piece, 'h'));
      left -= piece;
    }
    return bytes;
  }

  // The bytes behind the first `from` of a message, in pieces.
  static std::string Rest(uint64_t id, const std::string& message, size_t from) {
    std::string bytes;
    for (size_t at = from; at < message.size(); at += kPiece) {
      bytes += raw::Data(id, false, at + kPiece < message.size(), message.substr(at, kPiece));
    }
    return bytes;
  }

  ManualClock clock_;
  Notification verdict_;
  HeldEcho echo_;
  HeldRows rows_;
  RuntimeOptions runtime_ = Quiet(nullptr);
  ServerOptions options_;
  std::unique_ptr<Server> server_;
};

// ---- Memory

TEST_F(NativeInput, WhatIsOnlyAnnouncedTakesNoMemory) {
  Start();
  std::vector<RawPeer> peers;
  for (int i = 0; i < 64; ++i) {
    RawPeer& peer = peers.emplace_back(Open());
    // Four of them stay just below the bound of one connection, four times max_message_bytes.
    for (uint64_t id = 1; id <= 4; ++id) peer.Send(Half(id, kHuge, 1));
    Settle(peer);
  }
  EXPECT_EQ(server_->input_bytes(), 0u) << "less than a step for each connection";
  RawPeer other = Open();
  ExpectServed(other, 1);
}

TEST_F(NativeInput, UnfinishedMessagesOfAllConnectionsAreBoundedTogether) {
  options_.max_input_bytes = 4 << 20;
  Start();
  RawPeer one = Open(), two = Open();
  // Most of a message has come, so its block has room for all 3 MiB: two do not fit into 4.
  one.Send(Half(1, 3 << 20, 2 << 20));
  Settle(one);
  EXPECT_GE(server_->input_bytes(), size_t{2} << 20);
  two.Send(Half(1, 3 << 20, 2 << 20));
  ExpectError(two, 1, StatusCode::kResourceExhausted, "(max_input_bytes of the server)");
  // The connection goes on, and small calls are served.
  ExpectServed(two, 2);
  one.Send(raw::Cancel(1));
  Settle(one);
  EXPECT_EQ(server_->input_bytes(), 0u) << "what was cancelled is given back";
  two.Send(Half(3, 3 << 20, 2 << 20));
  Settle(two);
  EXPECT_GE(server_->input_bytes(), size_t{2} << 20);
  two.Close();
  EXPECT_TRUE(PollUntil([&] { return server_->input_bytes() == 0; })) << "so is what was closed";
}

TEST_F(NativeInput, TheRuntimeHasALimitOfItsOwn) {
  runtime_.max_input_bytes = 4 << 20;
  Start();
  RawPeer one = Open(), two = Open();
  one.Send(Half(1, 3 << 20, 2 << 20));
  Settle(one);
  two.Send(Half(1, 3 << 20, 2 << 20));
  ExpectError(two, 1, StatusCode::kResourceExhausted, "(max_input_bytes of the runtime)");
}

TEST_F(NativeInput, RequestsCountUntilTheyAreAnswered) {
  options_.max_input_bytes = 512 << 10;
  Start();
  RawPeer peer = Open();
  const std::string hang = "weft.test.EchoService/Hang";
  const std::string message = EchoBytes(50'000);
  uint64_t id = 0;
  // Accounts ask their budgets by steps of 64 KiB: 11 times 50,000 are 8 steps, just the limit. A
  // twelfth makes a ninth step.
  for (; id < 11;) peer.Send(raw::Request({.id = ++id, .name = hang, .message = message}));
  echo_.Held(10);
  EXPECT_GE(server_->input_bytes(), 11 * 50'000 - InputAccount::kStep);
  peer.Send(raw::Request({.id = ++id, .name = hang, .message = message}));
  ExpectError(peer, 12, StatusCode::kResourceExhausted, "max_input_bytes of the server");
  // In pieces it counts the same.
  peer.Send(Half(13, 200'000, 150'000));
  ExpectError(peer, 13, StatusCode::kResourceExhausted, "max_input_bytes of the server");
  echo_.Release();
  for (int i = 0; i < 11; ++i) ASSERT_TRUE(peer.ReadFrame(FrameType::kResponse).has_value());
  EXPECT_TRUE(PollUntil([&] {
    Settle(peer);  // calls come back with what comes next
    return server_->input_bytes() == 0;
  }));
}

TEST_F(NativeInput, WholeOnesThatCameInPiecesCountToo) {
  options_.limits.stream_window_bytes = 16 << 20;
  Start();
  RawPeer peer = Open({.features = 1, .stream_window = 1 << 20, .connection_window = 1 << 20});
  const std::string message = EchoBytes(200'000);
  peer.Send(raw::Request({.id = 1,
                          .name = "weft.test.EchoService/Hang",
                          .message = message.substr(0, kPiece),
                          .more = 200'000}) +
            Rest(1, message, kPiece));
  echo_.Held(0);
  EXPECT_GE(server_->input_bytes(), 200'000 - InputAccount::kStep);
  echo_.Release();
  ASSERT_TRUE(peer.ReadFrame(FrameType::kResponse).has_value());
  const auto nothing_held = [&] {
    Settle(peer);
    return server_->input_bytes() == 0;
  };
  EXPECT_TRUE(PollUntil(nothing_held));
  std::string row = message;
  row[0] = '\x12';  // Row.data
  peer.Send(raw::Request({.id = 2, .name = "weft.test.Rows/Add", .opens = true}) +
            raw::MessageBegin(2, false, 200'000, row.substr(0, kPiece)) + Rest(2, row, kPiece));
  Settle(peer);
  EXPECT_GE(server_->input_bytes(), 200'000 - InputAccount::kStep);
  rows_.reads.Set(true);
  peer.Send(raw::HalfClose(2, false));
  ASSERT_TRUE(peer.ReadFrame(FrameType::kResponse).has_value());
  EXPECT_TRUE(PollUntil(nothing_held));
}

// The first frame tells the ratio, 50,000 here, before the rest of the message has come.
TEST_F(NativeInput, BombsAreRefusedByTheirFirstFrame) {
  Start();
  RawPeer peer = Open({.features = 1, .stream_window = 1 << 20, .connection_window = 1 << 20});
  const std::string name = "weft.test.EchoService/Echo";
  // zstd, to 50 MB, from 1'000 bytes of which 100 are here.
  const std::string bomb = raw::Number(uint8_t{2}) + raw::Number(uint32_t{50'000'000}) +
                           raw::Number(uint32_t{1'000}) + std::string(100, 'z');
  // END, MORE, COMPRESSED and NAMED.
  peer.Send(raw::Frame(
      0x01, 0x47, 0, 1,
      raw::Number(uint64_t{0}) + raw::Number(static_cast<uint16_t>(name.size())) + name + bomb));
  ExpectError(peer, 1, StatusCode::kResourceExhausted, "inflate.max_ratio of the server");
  peer.Send(raw::Request({.id = 2, .name = "weft.test.Rows/Add", .opens = true}) +
            raw::Frame(0x0A, 0x06, 0, 2, bomb));
  const std::optional<RawFrame> refused = peer.ReadFrame(FrameType::kResponse);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->header.id, 2u);
  EXPECT_EQ(static_cast<StatusCode>(refused->header.aux), StatusCode::kResourceExhausted);
  ExpectServed(peer, 3);
}

TEST_F(NativeInput, MetadataCountsToo) {
  options_.max_input_bytes = 256 << 10;
  Start();
  RawPeer peer = Open();
  uint64_t id = 0;
  // The limit is four steps of 64 KiB. 20 times 16,007 bytes stay below the fifth step, the 21st
  // goes over it.
  for (; id < 25;) {
    peer.Send(raw::Request({.id = ++id,
                            .name = "weft.test.EchoService/Hang",
                            .metadata = raw::Pair("k", std::string(16'000, 'v'))}));
  }
  ExpectError(peer, 21, StatusCode::kResourceExhausted, "max_input_bytes of the server");
  echo_.Held(19);  // all that were taken, to be answered at the end
}

TEST_F(NativeInput, MessagesOfStreamsCountUntilTheyAreRead) {
  options_.max_input_bytes = 512 << 10;
  // Wide enough that credit refuses nothing here.
  options_.limits.stream_window_bytes = 16 << 20;
  Start();
  RawPeer peer = Open({.features = 1, .stream_window = 1 << 20, .connection_window = 1 << 20});
  peer.Send(raw::Request({.id = 1, .name = "weft.test.Rows/Add", .opens = true}));
  std::string row = raw::Payload(std::string(50'000, 'r'));
  row[0] = '\x12';  // Row.data
  for (int i = 0; i < 8; ++i) peer.Send(raw::Message(1, false, row));
  Settle(peer);
  EXPECT_GE(server_->input_bytes(), 8 * 50'000 - InputAccount::kStep);
  peer.Send(raw::Request({.id = 2, .name = "weft.test.Rows/Add", .opens = true}));
  // The last of these is the twelfth message on the connection, and one too many. Its own stream
  // ends for it, not the first one.
  for (int i = 0; i < 4; ++i) peer.Send(raw::Message(2, false, row));
  const std::optional<RawFrame> refused = peer.ReadFrame(FrameType::kResponse);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->header.id, 2u);
  EXPECT_EQ(static_cast<StatusCode>(refused->header.aux), StatusCode::kResourceExhausted);
  // Messages that were read are given back.
  rows_.reads.Set(true);
  peer.Send(raw::HalfClose(1, false));
  const std::optional<RawFrame> sum = peer.ReadFrame(FrameType::kResponse);
  ASSERT_TRUE(sum.has_value());
  EXPECT_EQ(sum->header.id, 1u);
  EXPECT_EQ(sum->header.aux, 0);
  EXPECT_TRUE(PollUntil([&] { return server_->input_bytes() == 0; }));
}

TEST_F(NativeInput, LongHalfFramesCount) {
  options_.max_input_bytes = 1 << 20;
  options_.limits.max_frame_bytes = 16 << 20;
  Start();
  RawPeer one = Open(), two = Open();
  const std::string request = raw::Request({.id = 1, .message = EchoBytes(4 << 20)});
  one.Send(request.substr(0, 300'000));
  ASSERT_TRUE(PollUntil([&] { return server_->input_bytes() >= 300'000 - InputAccount::kStep; }));
  EXPECT_LT(server_->input_bytes(), size_t{1} << 20) << "room for what has come, and twice that";
  // A frame that is not whole has no call yet that could be refused: its connection ends.
  two.Send(request.substr(0, 1'000'000));
  EXPECT_TRUE(two.WaitForClose());
  EXPECT_TRUE(PollUntil([&] { return server_->closed(CloseReason::kInputFull) == 1; }));
  one.Close();
  EXPECT_TRUE(PollUntil([&] { return server_->input_bytes() == 0; }));
}

TEST_F(NativeInput, OfClientsThatAreNotKnownLittleIsHeld) {
  options_.max_unknown_input_bytes = 100'000;
  options_.authenticator = [](std::string_view, const std::string&) {
    return absl::StatusOr<std::string>("somebody");
  };
  Start();
  // Half a handshake each, as large as can be.
  raw::HelloFields hello;
  const std::string body = raw::HelloBody(hello) + std::string("\x5A\xE0\xD4\x03", 4) +
                           std::string(60'000, 'n');  // its node
  const std::string opening = raw::Preface() + raw::Frame(0x10, 0, 0, 0, body);
  std::vector<RawPeer> peers;
  for (int i = 0; i < 2; ++i) {
    // 55,000 bytes of each are held: the second goes over the limit for strangers.
    peers.push_back(RawPeer::ConnectTo(server_->port()));
    peers.back().Send(opening.substr(0, 55'000));
  }
  EXPECT_TRUE(PollUntil([&] { return server_->closed(CloseReason::kInputFull) == 1; }));
  // Another one is let in meanwhile.
  RawPeer good = Open();
  ExpectServed(good, 1);
}

TEST_F(NativeInput, WhatIsHeldForStrangersIsBoundedTogether) {
  options_.max_unknown_input_bytes = 50'000;
  HoldUntilVerdict();
  Start();
  RawPeer one = Open(), two = Open();
  std::string calls;
  // About 33 KB with the cost of each frame: once below the limit, twice above it.
  for (uint64_t id = 1; id <= 30; ++id) {
    calls += raw::Request({.id = id, .message = EchoBytes(1'000)});
  }
  one.Send(calls);
  Settle(one);
  two.Send(calls);
  EXPECT_TRUE(two.WaitForClose());
  EXPECT_TRUE(PollUntil([&] { return server_->closed(CloseReason::kInputFull) == 1; }));
  verdict_.Notify();
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(one.ReadFrame(FrameType::kResponse).has_value());
  // Known, it may have more than strangers together.
  one.Send(Half(31, 200'000, 150'000));
  Settle(one);
  EXPECT_GE(server_->input_bytes(), 2 * InputAccount::kStep);
}

TEST_F(NativeInput, WhatWasHeldUntilTheVerdictIsGivenBackWithIt) {
  HoldUntilVerdict();
  Start();
  RawPeer peer = Open();
  // About 78 KB: HeldFrames is full before, and the account has passed its first step on.
  constexpr uint64_t kCalls = 70;
  for (uint64_t id = 1; id <= kCalls; ++id) {
    peer.Send(raw::Request({.id = id, .message = EchoBytes(1'000)}));
  }
  ASSERT_TRUE(PollUntil([&] { return server_->input_bytes() == InputAccount::kStep; }));
  verdict_.Notify();
  for (uint64_t i = 0; i < kCalls; ++i) {
    ASSERT_TRUE(peer.ReadFrame(FrameType::kResponse).has_value());
  }
  EXPECT_TRUE(PollUntil([&] {
    Settle(peer);
    return server_->input_bytes() == 0;
  }));
}

// A block of the input is 64 KiB, and a call that waits for a worker would keep all of it.
TEST_F(NativeInput, ARequestBetweenMuchElseDoesNotKeepTheBlockThatItCameIn) {
  for (const bool ordered : {false, true}) {
    Notification release;
    // The only worker waits in the first call, and all others in the queue.
    echo_.in_echo = [&](ServerContext&) { EXPECT_TRUE(release.Wait()); };
    runtime_.worker_threads = 1;
    Start(ordered);
    RawPeer peer = Open();
    std::string cancels;
    for (uint64_t i = 0; i < 3'000; ++i) cancels += raw::Cancel(1'000'000);
    constexpr uint64_t kCalls = 100;
    for (uint64_t id = 1; id <= kCalls; ++id) {
      // About 48 KB of other frames, so that nearly each request comes in a block of its own. 300
      // bytes: from 256 on a request is not copied into its call, but refers to the input.
      peer.Send(cancels + raw::Request({.id = id, .message = EchoBytes(300)}));
      Settle(peer);
    }
    BlockPool& blocks = options_.runtime->loops().At(0).loop->blocks();
    EXPECT_LT(blocks.counts().out, kCalls / 4) << ordered;
    release.Notify();
    for (uint64_t id = 1; id <= kCalls; ++id) {
      ASSERT_TRUE(peer.ReadFrame(FrameType::kResponse).has_value());
    }
    peer.Close();  // the clock stands still, so Stop would wait for it
    server_->Stop(absl::Seconds(30));
  }
}

// ---- Time

TEST_F(NativeInput, AnUnfinishedRequestOfWhichNothingComesIsDropped) {
  Start();
  RawPeer peer = Open();
  peer.Send(Half(1, kHuge, 1 << 20));
  Settle(peer);
  EXPECT_GE(server_->input_bytes(), size_t{1} << 20);
  // The default of max_message_pause is 30 s.
  clock_.Advance(absl::Seconds(29));
  Settle(peer);
  EXPECT_GE(server_->input_bytes(), size_t{1} << 20);
  clock_.Advance(absl::Seconds(1));
  ExpectError(peer, 1, StatusCode::kUnavailable,
              "nothing more of the request came within 30s (max_message_pause): 1048576 of its");
  EXPECT_EQ(server_->input_bytes(), 0u);
  // Pieces of it that still come are read and dropped.
  peer.Send(raw::Data(1, false, true, std::string(kPiece, 'h')));
  ExpectServed(peer, 2);
}

TEST_F(NativeInput, SoIsOneThatStopsInsideAPiece) {
  Start();
  RawPeer peer = Open();
  Settle(peer);
  const uint64_t before = server_->connection_list().at(0).bytes_in;
  const std::string piece = raw::Data(1, false, true, std::string(kPiece, 'h'));
  const std::string sent = Half(1, kHuge, 1 << 20) + piece.substr(0, 30'000);
  peer.Send(sent);
  // A PING cannot stand inside the piece, so the bytes that were read are counted instead.
  ASSERT_TRUE(AwaitBytes(before + sent.size()));
  clock_.Advance(absl::Seconds(30));
  ExpectError(peer, 1, StatusCode::kUnavailable, "max_message_pause");
  EXPECT_EQ(server_->input_bytes(), 0u);
  // The rest of the piece, and a call behind it.
  peer.Send(piece.substr(30'000));
  ExpectServed(peer, 2);
}

TEST_F(NativeInput, ABytePerPauseIsEnough) {
  Start();
  RawPeer peer = Open();
  peer.Send(Half(1, 100'000, 1'000));
  for (int i = 0; i < 5; ++i) {
    Settle(peer);
    clock_.Advance(absl::Seconds(29));
    peer.Send(raw::Data(1, false, true, "h"));
  }
  peer.Send(raw::Data(1, false, true, std::string(50'000, 'h')));
  Settle(peer);
  clock_.Advance(absl::Seconds(30));
  ExpectError(peer, 1, StatusCode::kUnavailable, "(max_message_pause): 51005 of its 100000 bytes");
}

TEST_F(NativeInput, SoAreBytesInsideAPiece) {
  Start();
  RawPeer peer = Open();
  Settle(peer);
  uint64_t bytes = server_->connection_list().at(0).bytes_in;
  const auto taken = [&](const std::string& part) {
    peer.Send(part);
    bytes += part.size();
    return AwaitBytes(bytes);
  };
  const std::string piece = raw::Data(1, false, true, std::string(kPiece, 'h'));
  ASSERT_TRUE(taken(Half(1, kHuge, kPiece) + piece.substr(0, 1'000)));
  for (size_t at = 1'000; at < 50'000; at += 10'000) {
    clock_.Advance(absl::Seconds(29));
    ASSERT_TRUE(taken(piece.substr(at, 10'000)));
  }
  peer.Send(piece.substr(51'000));
  Settle(peer);
  peer.Send(raw::Cancel(1));
  ExpectError(peer, 1, StatusCode::kCancelled, "cancelled before its request had come");
}

TEST_F(NativeInput, OfSeveralEachEndsInItsTime) {
  Start();
  RawPeer peer = Open();
  peer.Send(Half(1, kHuge, 1'000) + Half(2, kHuge, 1'000, /*timeout_us=*/1'000'000));
  Settle(peer);
  clock_.Advance(absl::Seconds(1));
  ExpectError(peer, 2, StatusCode::kDeadlineExceeded, "deadline passed before the request");
  clock_.Advance(absl::Seconds(29));
  ExpectError(peer, 1, StatusCode::kUnavailable, "max_message_pause");
}

TEST_F(NativeInput, TheTimeOfWhatIsHeldRunsFromWhenItCame) {
  HoldUntilVerdict();
  Start();
  RawPeer peer = Open();
  peer.Send(raw::Request({.id = 1, .timeout_us = 1'000'000, .message = raw::Text("late")}));
  Settle(peer);
  clock_.Advance(absl::Seconds(2));
  verdict_.Notify();
  ExpectError(peer, 1, StatusCode::kDeadlineExceeded, "deadline passed");
}

TEST_F(NativeInput, ItsDeadlineEndsAnUnfinishedRequest) {
  Start();
  RawPeer peer = Open();
  peer.Send(Half(1, kHuge, 1 << 20, /*timeout_us=*/1'000'000));
  Settle(peer);
  clock_.Advance(absl::Seconds(1));
  ExpectError(peer, 1, StatusCode::kDeadlineExceeded,
              "deadline passed before the request had come, not executed: 1048576 of its");
  EXPECT_EQ(server_->input_bytes(), 0u);
  ExpectServed(peer, 2);
}

TEST_F(NativeInput, AnOpenStreamBetweenTwoMessagesIsNotUnfinished) {
  Start();
  rows_.reads.Set(true);
  RawPeer peer = Open({.features = 1, .stream_window = 1 << 20, .connection_window = 1 << 20});
  peer.Send(raw::Request({.id = 1, .name = "weft.test.Rows/Add", .opens = true}) +
            raw::Message(1, false, ""));
  Settle(peer);
  for (int i = 0; i < 10; ++i) clock_.Advance(absl::Minutes(1));
  peer.Send(raw::HalfClose(1, false));
  const std::optional<RawFrame> sum = peer.ReadFrame(FrameType::kResponse);
  ASSERT_TRUE(sum.has_value());
  EXPECT_EQ(sum->header.aux, 0);
}

TEST_F(NativeInput, AnUnfinishedMessageEndsItsStream) {
  Start();
  rows_.reads.Set(true);
  RawPeer peer = Open({.features = 1, .stream_window = 1 << 20, .connection_window = 1 << 20});
  peer.Send(raw::Request({.id = 1, .name = "weft.test.Rows/Add", .opens = true}) +
            raw::MessageBegin(1, false, 100'000, "x"));
  Settle(peer);
  clock_.Advance(absl::Seconds(30));
  const std::optional<RawFrame> answer = peer.ReadFrame(FrameType::kResponse);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(static_cast<StatusCode>(answer->header.aux), StatusCode::kUnavailable);
  EXPECT_THAT(answer->body, HasSubstr("nothing more of the stream message came within 30s"));
}

TEST_F(NativeInput, WithoutALimitAnUnfinishedRequestMayWait) {
  options_.limits.max_message_pause = absl::ZeroDuration();
  Start();
  RawPeer peer = Open();
  peer.Send(Half(1, 100'000, 1'000));
  for (int i = 0; i < 10; ++i) {
    Settle(peer);
    clock_.Advance(absl::Minutes(10));
  }
  peer.Send(raw::Cancel(1));
  ExpectError(peer, 1, StatusCode::kCancelled, "cancelled before its request had come");
}

TEST_F(NativeInput, AClientThatWishesNoHeartbeatIsAskedForLifeAllTheSame) {
  options_.max_heartbeat_interval = absl::Seconds(30);
  Start();
  // None, and one in 46 days: neither may keep the server from asking every 30 s.
  RawPeer answers = Open({.heartbeat_ms = 0}), silent = Open({.heartbeat_ms = 4'000'000'000});
  for (int i = 1; i <= 2; ++i) {
    clock_.Advance(absl::Seconds(30));
    const std::optional<RawFrame> ping = answers.ReadFrame(FrameType::kPing);
    ASSERT_TRUE(ping.has_value());
    answers.Send(raw::Frame(0x06, 0x80, 0, ping->header.id));
    ExpectServed(answers, static_cast<uint64_t>(i));
    ASSERT_TRUE(silent.ReadFrame(FrameType::kPing).has_value());
    EXPECT_EQ(server_->closed(CloseReason::kSilent), 0);
  }
  clock_.Advance(absl::Seconds(30));
  // Asked at 30 s and at 60 s, and given up at 90 s: two misses are the default.
  EXPECT_TRUE(silent.WaitForClose());
  EXPECT_EQ(server_->closed(CloseReason::kSilent), 1);
  ExpectServed(answers, 3);
}

TEST_F(NativeInput, AClientThatWishesARareHeartbeatIsAskedAsOftenAsTheServerLikes) {
  options_.limits.heartbeat_interval = absl::Hours(1);
  options_.max_heartbeat_interval = absl::Seconds(30);
  Start();
  RawPeer peer = Open({.heartbeat_ms = 3'600'000});
  clock_.Advance(absl::Seconds(30));
  EXPECT_TRUE(peer.ReadFrame(FrameType::kPing).has_value());
}

// ---- The same at a client

TEST(NativeInputOfAClient, AReplyOfWhichNothingComesEndsItsCall) {
  ManualClock clock;
  ChannelOptions options;
  options.runtime = *Runtime::Create(Quiet(&clock));
  options.limits.heartbeat_interval = absl::ZeroDuration();
  RawListener listener;
  std::unique_ptr<Channel> channel = *Channel::Create(listener.address(), options);
  EchoService::Stub stub(*channel);
  Watched<std::optional<absl::Status>> result;
  // Without a timeout, so that nothing else can end the call.
  stub.EchoAsync(EchoRequest(), {.timeout = absl::InfiniteDuration()},
                 [&](absl::StatusOr<EchoReply> reply) { result.Set(reply.status()); });
  RawPeer server = listener.Accept();
  server.Send(raw::Opening());
  EXPECT_EQ(server.Read(8), raw::Preface());
  const std::optional<RawFrame> request = server.ReadFrame(FrameType::kRequest);
  ASSERT_TRUE(request.has_value());
  server.Send(raw::ReplyBegin(request->header.id, 1 << 20, std::string(1'000, 'r')) + raw::Ping(1));
  ASSERT_TRUE(server.ReadFrame(FrameType::kPing).has_value());
  clock.Advance(absl::Seconds(30));
  ASSERT_TRUE(result.WaitFor([](const auto& r) { return r.has_value(); }));
  EXPECT_EQ(result.Get()->code(), StatusCode::kUnavailable);
  EXPECT_THAT(std::string(result.Get()->message()),
              HasSubstr("nothing more of the reply came within 30s (max_message_pause): 1000 of"));
  // The server is told.
  EXPECT_TRUE(server.ReadFrame(FrameType::kCancel).has_value());
  channel.reset();
}

TEST(NativeInputOfAClient, RepliesAreBoundedByTheRuntime) {
  ChannelOptions options;
  RuntimeOptions runtime = Quiet(nullptr);
  runtime.max_input_bytes = 1 << 20;
  options.runtime = *Runtime::Create(runtime);
  RawListener listener;
  std::unique_ptr<Channel> channel = *Channel::Create(listener.address(), options);
  EchoService::Stub stub(*channel);
  Watched<std::optional<absl::Status>> result;
  stub.EchoAsync(EchoRequest(), {},
                 [&](absl::StatusOr<EchoReply> reply) { result.Set(reply.status()); });
  RawPeer server = listener.Accept();
  server.Send(raw::Opening());
  EXPECT_EQ(server.Read(8), raw::Preface());
  const std::optional<RawFrame> request = server.ReadFrame(FrameType::kRequest);
  ASSERT_TRUE(request.has_value());
  std::string reply = raw::ReplyBegin(request->header.id, 4 << 20, std::string(kPiece, 'r'));
  for (int i = 0; i < 20; ++i)
    reply += raw::Data(request->header.id, true, true, std::string(kPiece, 'r'));
  server.Send(reply);
  ASSERT_TRUE(result.WaitFor([](const auto& r) { return r.has_value(); }));
  EXPECT_EQ(result.Get()->code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(result.Get()->message()), HasSubstr("max_input_bytes of the runtime"));
  channel.reset();
}

// ---- The end

// Behind a large answer that the peer does not read yet, with more of it in pieces. The kernel does
// not take all that is queued, so the connection cannot end before the test has looked at it.
TEST_F(NativeInput, NothingFollowsTheGoAwayThatNamesAFault) {
  Start();
  RawPeer peer = Open({}, /*receive_buffer=*/64 << 10);
  const std::string message = EchoBytes(12 << 20);
  const raw::RequestFields hang{.name = "weft.test.EchoService/Hang",
                                .message = message.substr(0, kPiece),
                                .more = static_cast<uint32_t>(message.size())};
  const std::string first = raw::Request(hang) + Rest(1, message, kPiece);
  peer.Send(first);
  Responder<EchoReply>& large = echo_.Held(0);
  const std::string second =
      raw::Request({.id = 2, .name = hang.name, .message = raw::Text("late")});
  peer.Send(second);
  Responder<EchoReply>& late = echo_.Held(1);
  large.Finish();  // writes, on this thread, until the kernel takes no more
  // An unknown type, read while the large answer still waits in pieces.
  const std::string fault = raw::Frame(0x77, 0, 0, 0);
  const uint64_t opening = raw::Opening().size();
  peer.Send(fault);
  ASSERT_TRUE(AwaitBytes(opening + first.size() + second.size() + fault.size()));
  // This answer would stand behind the GOAWAY.
  late.Finish();
  ASSERT_TRUE(peer.ReadFrame(FrameType::kResponse).has_value());  // the first piece
  const std::optional<RawFrame> last = peer.ReadFrame(FrameType::kGoAway);
  ASSERT_TRUE(last.has_value());
  EXPECT_THAT(last->body, HasSubstr("type 0x77"));
  const std::optional<RawFrame> more = peer.ReadFrame();
  EXPECT_FALSE(more.has_value()) << "a frame of type " << static_cast<int>(more->header.type);
}

}  // namespace
}  // namespace weft::internal::native
