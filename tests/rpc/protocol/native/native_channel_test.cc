// A channel against a server that speaks byte by byte, and often wrongly: every call ends exactly
// once, with a status that says what happened.
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/protos/echo.weft.h"
#include "tests/rpc/protocol/native/held_echo.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "tests/support/watched.h"
#include "weft/core/manual_clock.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/protocol/native/frame_reader.h"
#include "weft/rpc/protocol/native/hello.pb.h"

namespace weft::internal::native {
namespace {

using absl::StatusCode;
using test::EchoReply;
using test::EchoRequest;
using test::EchoService;
using ::testing::AllOf;
using ::testing::HasSubstr;

// One call, and how often it ended.
class Call {
 public:
  // The callback's share: the call may end after the test that forgot it.
  struct State {
    Watched<int> ends{0};
    Watched<absl::StatusOr<EchoReply>> result{absl::UnknownError("has not ended")};
    ClientContext context;
  };

  void Start(EchoService::Stub& stub, absl::Duration timeout = absl::Seconds(60)) {
    EchoRequest request;
    request.set_text("hi");
    stub.EchoAsync(request, {.timeout = timeout, .context = &state_->context},
                   [state = state_](absl::StatusOr<EchoReply> result) {
                     state->result.Set(std::move(result));
                     state->ends.Update([](int& n) { ++n; });
                   });
  }
  absl::StatusOr<EchoReply> Wait() {
    EXPECT_TRUE(state_->ends.WaitFor([](int n) { return n > 0; })) << "the call has not ended";
    return state_->result.Get();
  }
  bool ended() const { return state_->ends.Get() > 0; }
  int ends() const { return state_->ends.Get(); }
  ClientContext& context() { return state_->context; }

 private:
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

// A real channel, and a server that the test plays byte by byte.
class NativeChannel : public ::testing::Test {
 protected:
  NativeChannel() {
    options_.runtime = test::QuietRuntime();
    // HoldsRepliesToItsLimit announces one byte more; all other replies are smaller.
    options_.limits.max_message_bytes = 100'000;
    // No PING of the channel comes between the frames that a test reads.
    options_.limits.heartbeat_interval = absl::ZeroDuration();
    // Short, so that no test waits for the next attempt.
    options_.backoff = absl::Milliseconds(1);
    options_.max_backoff = absl::Milliseconds(1);
  }

  // From the next Start on time passes when the test says so.
  void StopTime() {
    RuntimeOptions options;
    options.clock = &clock_;
    options.log_level = LogLevel::kOff;
    options_.runtime = *Runtime::Create(std::move(options));
  }
  // A new channel on a new port: the last one may be dialling still.
  void Start() {
    channel_.reset();
    listener_.emplace();
    absl::StatusOr<std::unique_ptr<Channel>> made = Channel::Create(listener_->address(), options_);
    ASSERT_TRUE(made.ok()) << made.status();
    channel_ = *std::move(made);
    stub_ = std::make_unique<EchoService::Stub>(*channel_);
  }
  // Reads the first bytes of the channel.
  static void ReadOpening(RawPeer& server) {
    EXPECT_EQ(server.Read(8), raw::Preface());
    const std::optional<RawFrame> hello = server.ReadFrame();
    ASSERT_TRUE(hello.has_value());
    EXPECT_EQ(hello->header.type, FrameType::kHello);
  }
  RawPeer AcceptOpening() {
    RawPeer server = listener_->Accept();
    ReadOpening(server);
    return server;
  }
  RawPeer Accept(const raw::HelloFields& hello = {}) {
    RawPeer server = AcceptOpening();
    server.Send(raw::Opening(hello));
    return server;
  }
  // The number of the next request.
  static uint64_t ReadRequest(RawPeer& server) {
    const std::optional<RawFrame> frame = server.ReadFrame(FrameType::kRequest);
    EXPECT_TRUE(frame.has_value()) << "no request";
    return frame.has_value() ? frame->header.id : 0;
  }
  // Returns when the channel has taken what was sent before.
  static void Settle(RawPeer& server) {
    // Input is taken in order: the answer to the PING follows all that came before it.
    server.Send(raw::Ping(9));
    ASSERT_TRUE(server.ReadFrame(FrameType::kPing).has_value());
  }
  void ExpectServed(RawPeer& server) {
    Call call;
    call.Start(*stub_);
    const uint64_t id = ReadRequest(server);
    server.Send(raw::Reply(id, raw::Text("ho")));
    const absl::StatusOr<EchoReply> reply = call.Wait();
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->text(), "ho");
  }
  // That the channel closes, and its call fails so.
  void ExpectLost(RawPeer& server, Call& call, StatusCode code, const std::string& text) {
    EXPECT_TRUE(server.WaitForClose());
    const absl::Status status = call.Wait().status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
    EXPECT_EQ(call.ends(), 1);
  }

  ManualClock clock_;  // of the runtime in options_, from StopTime on
  std::optional<RawListener> listener_;
  ChannelOptions options_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<EchoService::Stub> stub_;
};

// ---- What it says

TEST_F(NativeChannel, SendsPrefaceAndHelloAtOnceAndCallsAfterOurs) {
  options_.auth_token = "sesame";
  Start();
  Call call;
  call.Start(*stub_, absl::Seconds(5));
  RawPeer server = listener_->Accept();
  EXPECT_EQ(server.Read(8), raw::Preface());
  const std::optional<RawFrame> frame = server.ReadFrame();
  ASSERT_TRUE(frame.has_value());
  Hello hello;
  ASSERT_TRUE(hello.ParseFromString(frame->body));
  EXPECT_EQ(hello.auth_token(), "sesame");
  EXPECT_EQ(hello.max_message_bytes(), 100'000u);
  // The request leaves only now: the channel holds to limits that the server's Hello tells.
  server.Send(raw::Opening());
  const std::optional<RawFrame> request = server.ReadFrame();
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->header.type, FrameType::kRequest);
  RequestFrame sections;
  ASSERT_EQ(FrameReader::ReadRequest(request->header, request->body, &sections), FrameError::kNone);
  EXPECT_EQ(sections.method_name, "weft.test.EchoService/Echo");
  EXPECT_EQ(request->header.aux, 1);
  EXPECT_EQ(sections.payload.bytes, raw::Text("hi"));
  EXPECT_GT(sections.timeout_us, 0u);
  EXPECT_LT(sections.timeout_us, 5'000'000u) << "it has waited for the connection";
  server.Send(raw::Reply(request->header.id, raw::Text("ho"), 1'234));
  const absl::StatusOr<EchoReply> reply = call.Wait();
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->text(), "ho");
  EXPECT_EQ(call.context().handler_time(), absl::Microseconds(1'234));
  // The next one goes by number.
  Call second;
  second.Start(*stub_);
  const std::optional<RawFrame> by_number = server.ReadFrame(FrameType::kRequest);
  ASSERT_TRUE(by_number.has_value());
  EXPECT_FALSE(by_number->header.has(kNamed));
  EXPECT_EQ(by_number->header.aux, 1);
  EXPECT_EQ(by_number->header.id, request->header.id + 1);
  server.Send(raw::Reply(by_number->header.id, ""));
  EXPECT_TRUE(second.Wait().ok());
}

TEST_F(NativeChannel, NamesItsMethodsWhereTheServerKeepsNoNumbers) {
  Start();
  Call first, second;
  first.Start(*stub_);
  RawPeer server = Accept({.max_methods = 0});
  for (Call* call : {&first, &second}) {
    // Only after the first answer: a channel that had bound a number would use it now.
    if (call == &second) second.Start(*stub_);
    const std::optional<RawFrame> request = server.ReadFrame(FrameType::kRequest);
    ASSERT_TRUE(request.has_value());
    EXPECT_TRUE(request->header.has(kNamed));
    EXPECT_EQ(request->header.aux, 0);
    server.Send(raw::Reply(request->header.id, ""));
    EXPECT_TRUE(call->Wait().ok());
  }
}

TEST_F(NativeChannel, KeepsToTheServersLimits) {
  Start();
  Call waiting;
  waiting.Start(*stub_);
  RawPeer server = Accept({.max_message = 50, .max_metadata = 10, .max_calls = 1});
  const uint64_t id = ReadRequest(server);
  EchoRequest large;
  // 51 bytes with the field's tag and length: one more than the server takes. `waiting` uses up
  // max_calls all the time, but a request's size and metadata are checked before the number of
  // calls.
  large.set_payload(std::string(49, 'x'));
  absl::Status status = stub_->Echo(large).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("51"), HasSubstr("50"), HasSubstr("max_message_bytes")));
  ClientContext context;
  // 14 bytes: 3 and 5, and 6 for both lengths.
  ASSERT_TRUE(context.metadata().Add("key", "value").ok());
  status = stub_->Echo({}, {.context = &context}).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("14"), HasSubstr("10"), HasSubstr("max_metadata_bytes")));
  EXPECT_FALSE(context.may_have_been_executed());
  status = stub_->Echo({}).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("max_calls of the server"));
  server.Send(raw::Reply(id, ""));
  EXPECT_TRUE(waiting.Wait().ok());
}

TEST_F(NativeChannel, AnswersPingsAndConfirmsGoAway) {
  Start();
  channel_->Connect();
  RawPeer server = Accept();
  server.Send(raw::Ping(5) + raw::GoAway(0, "bye"));
  const std::optional<RawFrame> pong = server.ReadFrame();
  ASSERT_TRUE(pong.has_value());
  EXPECT_EQ(pong->header.type, FrameType::kPing);
  EXPECT_EQ(pong->header.id, 5u);
  EXPECT_TRUE(pong->header.has(kReply));
  const std::optional<RawFrame> ack = server.ReadFrame();
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->header.type, FrameType::kGoAwayAck);
  EXPECT_TRUE(server.WaitForClose()) << "an idle connection that is asked to go";
}

TEST_F(NativeChannel, GoesOnElsewhereWhenAnEndIsAnnouncedAndLeavesWhenTheLastCallIsNamed) {
  Start();
  Call call;
  call.Start(*stub_);
  RawPeer server = Accept();
  const uint64_t id = ReadRequest(server);
  server.Send(raw::GoAwayAnnounced("bye"));
  ASSERT_EQ(server.ReadFrame()->header.type, FrameType::kGoAwayAck);
  RawPeer next = Accept();
  ExpectServed(next);
  // The call was taken.
  server.Send(raw::Reply(id, raw::Text("ho")));
  const absl::StatusOr<EchoReply> reply = call.Wait();
  ASSERT_TRUE(reply.ok()) << reply.status();
  // Idle, but its server has not said its last word.
  Settle(server);
  server.Send(raw::GoAway(id, "bye"));
  ASSERT_EQ(server.ReadFrame()->header.type, FrameType::kGoAwayAck);
  EXPECT_TRUE(server.WaitForClose());
  ExpectServed(next);
  EXPECT_EQ(channel_->counts().resent, 0);
}

TEST_F(NativeChannel, SendsElsewhereWhatWasAnnouncedAnEndAndWasNotTaken) {
  Start();
  Call call;
  call.Start(*stub_);
  RawPeer server = Accept();
  ASSERT_EQ(ReadRequest(server), 1u);
  // Call 1 is above 0, so it was not executed, and another connection may carry it.
  server.Send(raw::GoAwayAnnounced("bye") + raw::GoAway(0, "bye"));
  EXPECT_TRUE(server.WaitForClose());
  RawPeer next = Accept();
  next.Send(raw::Reply(ReadRequest(next), raw::Text("ho")));
  EXPECT_TRUE(call.Wait().ok());
  EXPECT_EQ(call.ends(), 1);
  EXPECT_EQ(channel_->counts().resent, 1);
}

TEST_F(NativeChannel, RefusesCallsFromAServerWithAStatus) {
  Start();
  channel_->Connect();
  RawPeer server = Accept();
  // By name, by the number that the first request has bound, and in pieces. The piece behind a
  // refused request is dropped.
  server.Send(raw::Request({.id = 1, .number = 1}) +
              raw::Request({.id = 2, .number = 1, .name = ""}) +
              raw::Request({.id = 3, .more = 100}) + raw::Data(3, false, true, "x"));
  for (const uint64_t id : {1u, 2u, 3u}) {
    const std::optional<RawFrame> answer = server.ReadFrame();
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->header.type, FrameType::kResponse);
    EXPECT_EQ(answer->header.id, id);
    // UNIMPLEMENTED: a channel offers no services.
    EXPECT_EQ(answer->header.aux, 12);
    EXPECT_TRUE(answer->header.has(kNotExecuted));
  }
  ExpectServed(server);
}

// ---- Servers that are none

TEST_F(NativeChannel, GivesUpOnAServerOfAnotherProtocol) {
  // HTTP/1.1, a TLS alert, HTTP/2's SETTINGS, and a later version of the framing.
  for (const std::string& bytes :
       {std::string("HTTP/1.1 400 Bad Request\r\n\r\n"),
        std::string("\x15\x03\x03\0\x02\x02\x28", 7), std::string("\0\0\x06\x04\0\0\0\0\0", 9),
        raw::Preface().substr(0, 7) + "\x02"}) {
    Start();
    Call call;
    call.Start(*stub_);
    RawPeer server = AcceptOpening();
    server.Send(bytes);
    ExpectLost(server, call, StatusCode::kUnavailable, "wrong preface");
    EXPECT_FALSE(call.context().may_have_been_executed());
  }
}

TEST_F(NativeChannel, SaysWhyAHandshakeFailed) {
  struct Row {
    std::string bytes;
    const char* text;
  };
  for (const Row& row :
       {Row{raw::Preface() + raw::Hello({.lowest = 2, .highest = 3}), "wire versions 2 to 3"},
        Row{raw::Preface() + raw::Hello({.required_features = 1}), "requires features 0x1"},
        Row{raw::Preface() + raw::Hello({.max_frame = 5}), "max_frame_bytes"},
        Row{raw::Preface() + raw::Frame(0x10, 0, 0, 0, "\xFF"), "cannot be parsed"},
        Row{raw::Preface() + raw::Reply(1, ""), "before its Hello"},
        Row{raw::Preface() + raw::Header(1 << 30, 0x10, 0, 0, 0), "longer than the limit"},
        Row{raw::Preface() + raw::Frame(0x0B, 0, 0, 0), "unknown frame type"}}) {
    Start();
    Call call;
    call.Start(*stub_);
    RawPeer server = AcceptOpening();
    server.Send(row.bytes);
    ExpectLost(server, call, StatusCode::kUnavailable, row.text);
    EXPECT_FALSE(call.context().may_have_been_executed());
  }
}

TEST_F(NativeChannel, GivesUpOnAServerThatNeverAnswersHello) {
  options_.connect_timeout = absl::Milliseconds(100);
  for (const std::string& bytes : {std::string(), raw::Preface(), raw::Opening().substr(0, 20)}) {
    Start();
    Call call;
    call.Start(*stub_);
    RawPeer server = AcceptOpening();
    server.Send(bytes);
    ExpectLost(server, call, StatusCode::kUnavailable, "no Hello within");
  }
}

TEST_F(NativeChannel, SaysSoWhenTheServerClosesInsteadOfAHello) {
  // As above, but the end of the stream comes before the time is over.
  for (const std::string& bytes : {std::string(), raw::Preface(), raw::Opening().substr(0, 20)}) {
    Start();
    Call call;
    call.Start(*stub_);
    RawPeer server = AcceptOpening();
    server.Send(bytes);
    server.Close();
    const absl::Status status = call.Wait().status();
    EXPECT_EQ(status.code(), StatusCode::kUnavailable);
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("handshake"), HasSubstr(listener_->address())));
    EXPECT_FALSE(call.context().may_have_been_executed());
  }
}

// ---- Faults after the handshake

TEST_F(NativeChannel, ClosesOnFaultsAndEndsItsCalls) {
  // Rows speak of call 1, which is under way, and of call 9, which was never begun. 990 bytes of
  // this reply are missing: a piece of 990 with MORE does not fit, nor does one of 991.
  const std::string begin = raw::ReplyBegin(1, 1'000, "0123456789");
  struct Row {
    std::string bytes;
    const char* text;
  };
  for (const Row& row : {
           Row{raw::Hello(), "a second Hello"},
           Row{raw::Frame(0x0B, 0, 0, 1), "unknown frame type"},
           Row{raw::Headers(9, ""), "initial metadata of call 9, which was never begun"},
           Row{raw::Headers(0, ""), "initial metadata of call 0, which was never begun"},
           Row{raw::Headers(1, "") + raw::Headers(1, ""), "not the first of its reply"},
           Row{begin + raw::Headers(1, ""), "not the first of its reply"},
           Row{raw::Frame(0x02, 0x21, 0, 1, "1234"), "reserved bits"},
           Row{raw::Frame(0x05, 0x80, 0, 1), "too short"},
           Row{raw::Frame(0x05, 0x80, 0, 1, std::string(4, 1)), "which has no stream"},
           Row{raw::Frame(0x05, 0x80, 0, 9, std::string(4, 1)), "which has no stream"},
           Row{raw::Frame(0x05, 0, 0, 0, std::string(4, '\xFF')), "more credit than"},
           Row{raw::Frame(0x0A, 0x80, 0, 1, "x"), "which has no stream"},
           Row{raw::Frame(0x0A, 0x80, 0, 9, "x"), "which has no stream"},
           Row{raw::Frame(0x0A, 0x40, 0, 1), "too short"},
           Row{raw::Frame(0x02, 0x15, 0, 1, "1234"), "too short"},
           Row{raw::Header(0x7FFFFFFF, 0x02, 0x01, 0, 1), "longer than the limit"},
           Row{raw::Frame(0x02, 0x01, 0, 1, "123"), "too short"},
           Row{raw::Frame(0x02, 0x01, 5, 1, "12345678"), "too short"},
           Row{raw::Frame(0x02, 0x00, 0, 1, "1234"), "does not end"},
           Row{raw::ReplyBegin(1, 3, "123"), "announced size"},
           Row{begin + raw::Data(1, true, false, "x"), "does not fit"},
           Row{begin + raw::Data(1, true, true, std::string(990, 'x')), "does not fit"},
           Row{begin + raw::Data(1, true, true, std::string(991, 'x')), "does not fit"},
           Row{begin + begin, "a second reply"},
           Row{begin + raw::Data(uint64_t{1} << 63 | 1, false, false, std::string(990, 'x')),
               "call number"},
           Row{raw::Data(1, false, false, "x"), "never begun"},
       }) {
    Start();
    Call call;
    call.Start(*stub_);
    RawPeer server = Accept();
    EXPECT_EQ(ReadRequest(server), 1u);
    server.Send(row.bytes);
    ExpectLost(server, call, StatusCode::kUnavailable, row.text);
    // The request had left, so the server may have executed it before the fault.
    EXPECT_TRUE(call.context().may_have_been_executed());
    EXPECT_THAT(std::string(call.Wait().status().message()), HasSubstr("was sent"));
  }
}

TEST_F(NativeChannel, EndsACallWhoseReplyIsGarbage) {
  Start();
  Call call;
  call.Start(*stub_);
  RawPeer server = Accept();
  // A field of 127 bytes, of which none follows.
  server.Send(raw::Reply(ReadRequest(server), "\x0A\x7F"));
  const absl::Status status = call.Wait().status();
  EXPECT_EQ(status.code(), StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("cannot parse the reply"), HasSubstr("weft.test.EchoReply")));
  ExpectServed(server);
}

TEST_F(NativeChannel, TakesStatusesOfAllSorts) {
  Start();
  channel_->Connect();
  RawPeer server = Accept();
  uint64_t id = 0;
  for (const int code : {1, 5, 16, 17, 999, 65'535}) {
    for (const bool not_executed : {false, true}) {
      Call call;
      call.Start(*stub_);
      ASSERT_EQ(ReadRequest(server), ++id);
      server.Send(raw::Error(id, code, "because", not_executed));
      const absl::Status status = call.Wait().status();
      // A code above 16 is unknown here, and so UNKNOWN, which is 2.
      EXPECT_EQ(static_cast<int>(status.code()), code <= 16 ? code : 2);
      EXPECT_EQ(status.message(), "because");
      EXPECT_EQ(call.context().may_have_been_executed(), !not_executed);
    }
  }
  // Details and trailers that are damaged are left out, whatever else there is.
  Call call;
  call.Start(*stub_);
  ASSERT_EQ(ReadRequest(server), ++id);
  server.Send(raw::Frame(0x02, 0x09, 5, id,
                         raw::Number(uint32_t{7}) + raw::Number(uint32_t{3}) + "\xFF\xFFx" +
                             raw::Number(uint32_t{3}) + "why" + "\x0A\x7F"));
  EXPECT_EQ(call.Wait().status(), absl::NotFoundError("why"));
  EXPECT_TRUE(call.context().trailers().empty());
}

TEST_F(NativeChannel, HoldsRepliesToItsLimit) {
  Start();
  channel_->Connect();
  RawPeer server = Accept();
  Call whole;
  whole.Start(*stub_);
  server.Send(raw::ReplyBegin(ReadRequest(server), 100'001, "x") +
              raw::Data(1, true, true, "dropped"));
  absl::Status status = whole.Wait().status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("100001"), HasSubstr("100000"), HasSubstr("max_message_bytes")));
  ExpectServed(server);
}

TEST_F(NativeChannel, CountsLateAndUnknownReplies) {
  Start();
  Call call;
  call.Start(*stub_);
  RawPeer server = Accept();
  const uint64_t id = ReadRequest(server);
  // Six replies to no call under way. The piece behind the last one is part of it and counts no
  // more.
  server.Send(raw::Reply(id + 1, "") + raw::Error(0, 5, "") + raw::ReplyBegin(77, 1'000, "x") +
              raw::Reply(id, raw::Text("ho")) + raw::Reply(id, raw::Text("again")) +
              raw::Error(id, 5, "again") + raw::ReplyBegin(id, 90'000, "again") +
              raw::Data(id, true, true, "dropped"));
  const absl::StatusOr<EchoReply> reply = call.Wait();
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->text(), "ho");
  Settle(server);
  EXPECT_EQ(channel_->counts().late_replies, 6);
  EXPECT_EQ(call.ends(), 1);
  ExpectServed(server);
}

// A reply to an unknown call is only late. A piece for a call that was never begun is a fault.
TEST_F(NativeChannel, ClosesPiecesOfAReplyToACallThatWasNeverBegun) {
  Start();
  Call call;
  call.Start(*stub_);
  RawPeer server = Accept();
  const uint64_t id = ReadRequest(server);
  server.Send(raw::ReplyBegin(id + 1, 1'000, "x") + raw::Data(id + 1, true, false, "anything"));
  EXPECT_EQ(call.Wait().status().code(), absl::StatusCode::kUnavailable);
  const std::optional<RawFrame> goaway = server.ReadFrame(FrameType::kGoAway);
  ASSERT_TRUE(goaway.has_value());
  EXPECT_EQ(goaway->body, "a piece of a call that was never begun");
}

// A server that does not confirm that the connection is over is given a second, however short the
// timeout is.
TEST_F(NativeChannel, ClosesAnIdleConnectionThoughItsServerDoesNotConfirm) {
  constexpr absl::Duration kLook = absl::Milliseconds(100);
  options_.idle_timeout = 4 * kLook;
  StopTime();
  Start();
  channel_->Connect();
  RawPeer server = Accept();
  // Settle's PING is no call: the connection stays idle under the looks.
  const auto leaves = [&] {
    const std::vector<ConnectionInfo> all = channel_->connections();
    return !all.empty() && all.front().state == ConnectionState::kGoingAway;
  };
  const auto look = [&] {
    clock_.Advance(kLook);
    Settle(server);
  };
  Settle(server);
  for (int i = 0; i < 20 && !leaves(); ++i) look();
  ASSERT_TRUE(leaves());
  // Half a second: the server may still confirm.
  for (int i = 0; i < 5; ++i) look();
  EXPECT_TRUE(leaves());
  // Without Settle: the connection closes between two of these steps and would not answer.
  for (int i = 0; i < 10; ++i) clock_.Advance(kLook);
  EXPECT_TRUE(server.WaitForClose());
}

TEST_F(NativeChannel, DropsAReplyBeingReadWhenItsCallEnds) {
  for (const bool by_deadline : {false, true}) {
    if (by_deadline) StopTime();
    Start();
    channel_->Connect();
    RawPeer server = Accept();
    for (const size_t part : {size_t{0}, size_t{5'000}, size_t{60'000}}) {
      Call call;
      call.Start(*stub_, absl::Seconds(60));
      const uint64_t id = ReadRequest(server);
      const std::string payload = raw::Payload(std::string(90'000, 'p'));
      const auto whole = static_cast<uint32_t>(payload.size());
      const std::string data = raw::Data(id, true, false, payload.substr(30'000));
      // In one piece with the ping, so that the pong says that the half has been read.
      server.Send(raw::ReplyBegin(id, whole, payload.substr(0, 30'000)));
      server.Send(raw::Ping(1) + data.substr(0, kHeaderSize));
      ASSERT_TRUE(server.ReadFrame(FrameType::kPing).has_value());
      // These bytes may be read before the call ends or after it; in both cases the rest is
      // dropped.
      server.Send(data.substr(kHeaderSize, part));
      by_deadline ? clock_.Advance(absl::Seconds(61)) : call.context().Cancel();
      const absl::Status status = call.Wait().status();
      EXPECT_EQ(status.code(),
                by_deadline ? StatusCode::kDeadlineExceeded : StatusCode::kCancelled);
      const std::optional<RawFrame> cancel = server.ReadFrame(FrameType::kCancel);
      ASSERT_TRUE(cancel.has_value());
      EXPECT_EQ(cancel->header.id, id);
      const int64_t late = channel_->counts().late_replies;
      server.Send(data.substr(kHeaderSize + part));
      Settle(server);
      // The dropped piece counts as one late reply, however many reads it took.
      EXPECT_EQ(channel_->counts().late_replies, late + 1);
      EXPECT_EQ(call.ends(), 1);
      ExpectServed(server);
    }
  }
}

TEST_F(NativeChannel, PutsRepliesInPiecesTogether) {
  Start();
  channel_->Connect();
  RawPeer server = Accept();
  Call one, two;
  one.Start(*stub_);
  const uint64_t first = ReadRequest(server);
  two.Start(*stub_);
  const uint64_t second = ReadRequest(server);
  const std::string a = raw::Payload(std::string(70'000, 'a'));
  const std::string b = raw::Payload(std::string(80'000, 'b'));
  const auto size = [](const std::string& s) { return static_cast<uint32_t>(s.size()); };
  // The first frame of a message may hold none of its bytes, or one.
  const std::string bytes = raw::ReplyBegin(first, size(a), "") +
                            raw::ReplyBegin(second, size(b), b.substr(0, 1)) +
                            raw::Data(first, true, true, a.substr(0, 40'000)) +
                            raw::Data(second, true, true, b.substr(1, 9'999)) +
                            raw::Data(first, true, false, a.substr(40'000)) +
                            raw::Data(second, true, true, b.substr(10'000, 60'000)) +
                            raw::Data(second, true, false, b.substr(70'000));
  // 7,001 divides no piece, so headers and pieces are cut at ever different places.
  for (size_t at = 0; at < bytes.size(); at += 7'001) server.Send(bytes.substr(at, 7'001));
  ASSERT_TRUE(one.Wait().ok()) << one.Wait().status();
  EXPECT_EQ(one.Wait()->payload(), std::string(70'000, 'a'));
  ASSERT_TRUE(two.Wait().ok()) << two.Wait().status();
  EXPECT_EQ(two.Wait()->payload(), std::string(80'000, 'b'));
}

// ---- Each state of a call, and each way for it to end

enum class State {
  kWaiting,     // for the server's Hello
  kInFlight,    // the server has the request
  kHalfReply,   // the first pieces of the reply are here
  kInsidePiece  // a piece of it is being read
};
enum class Event {
  kReply,
  kDuplicateReply,
  kCancel,
  kDeadline,
  kClose,
  kReset,
  kGoAwayBefore,  // the call is not among those that the server took
  kGoAwayAfter,   // it is; its reply follows
  kChannelGone
};

const char* NameOf(State s) {
  constexpr const char* kNames[] = {"Waiting", "InFlight", "HalfReply", "InsidePiece"};
  return kNames[static_cast<int>(s)];
}
const char* NameOf(Event e) {
  constexpr const char* kNames[] = {"Reply", "DuplicateReply", "Cancel",      "Deadline",   "Close",
                                    "Reset", "GoAwayBefore",   "GoAwayAfter", "ChannelGone"};
  return kNames[static_cast<int>(e)];
}

class NativeCallStates : public NativeChannel,
                         public ::testing::WithParamInterface<std::tuple<State, Event>> {
 protected:
  // Brings a call into `state`.
  RawPeer Reach(State state, Call& call, absl::Duration timeout) {
    call.Start(*stub_, timeout);
    if (state == State::kWaiting) return AcceptOpening();
    RawPeer server = Accept();
    EXPECT_EQ(ReadRequest(server), 1u);
    if (state == State::kInFlight) return server;
    server.Send(raw::ReplyBegin(1, kWhole, kMessage.substr(0, 5)) +
                raw::Data(1, true, true, kMessage.substr(5, 1'000)));
    Settle(server);
    if (state == State::kInsidePiece) {
      // The answer to the PING says that the read with the beginning of the piece was taken.
      server.Send(raw::Ping(1) + LastPiece().substr(0, kHeaderSize + 10));
      EXPECT_TRUE(server.ReadFrame(FrameType::kPing).has_value());
    }
    return server;
  }
  std::string LastPiece() const { return raw::Data(1, true, false, kMessage.substr(1'005)); }
  // The part of the reply that is still missing.
  std::string RestOfReply(State state) const {
    switch (state) {
      case State::kWaiting:
        return raw::Opening() + raw::Reply(1, kMessage);
      case State::kInFlight:
        return raw::Reply(1, kMessage);
      case State::kHalfReply:
        return LastPiece();
      case State::kInsidePiece:
        return LastPiece().substr(kHeaderSize + 10);
    }
    return "";
  }

  const std::string kMessage = raw::Payload(std::string(20'000, 'm'));
  const uint32_t kWhole = static_cast<uint32_t>(kMessage.size());
};

TEST_P(NativeCallStates, EndExactlyOnce) {
  const auto [state, event] = GetParam();
  const bool deadline = event == Event::kDeadline;
  if (deadline) StopTime();
  Start();
  Call call;
  // The deadline is shorter than connect_timeout, 3 s: the call ends, not the attempt to connect.
  RawPeer server = Reach(state, call, deadline ? absl::Seconds(1) : absl::Seconds(60));
  const bool sent = state != State::kWaiting;
  ASSERT_FALSE(call.ended());
  StatusCode expected = StatusCode::kOk;
  bool may_have_been_executed = true;
  RawPeer next;
  switch (event) {
    case Event::kReply:
      if (!sent) {
        server.Send(raw::Opening());
        EXPECT_EQ(ReadRequest(server), 1u);
        server.Send(raw::Reply(1, kMessage));
      } else {
        server.Send(RestOfReply(state));
      }
      break;
    case Event::kDuplicateReply:
      if (!sent) {
        server.Send(raw::Opening());
        EXPECT_EQ(ReadRequest(server), 1u);
        server.Send(raw::Reply(1, kMessage) + raw::Reply(1, kMessage));
      } else {
        server.Send(RestOfReply(state) + raw::Reply(1, kMessage) + raw::Error(1, 5, "no"));
      }
      break;
    case Event::kCancel:
      call.context().Cancel();
      expected = StatusCode::kCancelled;
      may_have_been_executed = sent;
      break;
    case Event::kDeadline:
      clock_.Advance(absl::Seconds(2));
      expected = StatusCode::kDeadlineExceeded;
      may_have_been_executed = sent;
      break;
    case Event::kClose:
      server.Close();
      expected = StatusCode::kUnavailable;
      may_have_been_executed = sent;
      break;
    case Event::kReset:
      server.Reset();
      expected = StatusCode::kUnavailable;
      may_have_been_executed = sent;
      break;
    case Event::kGoAwayBefore:
      // It goes to the next connection, without the caller noticing.
      server.Send((sent ? "" : raw::Opening()) + raw::GoAway(0, "bye"));
      next = Accept();
      EXPECT_EQ(ReadRequest(next), 1u);
      next.Send(raw::Reply(1, kMessage));
      break;
    case Event::kGoAwayAfter:
      if (!sent) {
        server.Send(raw::Opening());
        EXPECT_EQ(ReadRequest(server), 1u);
        server.Send(raw::GoAway(1, "bye") + raw::Reply(1, kMessage));
      } else {
        server.Send(raw::GoAway(1, "bye") + RestOfReply(state));
      }
      break;
    case Event::kChannelGone:
      channel_.reset();
      expected = StatusCode::kUnavailable;
      may_have_been_executed = sent;
      break;
  }
  const absl::StatusOr<EchoReply> result = call.Wait();
  EXPECT_EQ(result.status().code(), expected) << result.status();
  EXPECT_EQ(call.context().may_have_been_executed(), may_have_been_executed) << result.status();
  if (result.ok()) {
    EXPECT_EQ(result->payload(), std::string(20'000, 'm'));
  } else {
    EXPECT_THAT(std::string(result.status().message()), HasSubstr("weft.test.EchoService/Echo"));
  }
  // Frames that come after its end change nothing.
  if (event == Event::kCancel || deadline) {
    if (sent) {
      const std::optional<RawFrame> cancel = server.ReadFrame(FrameType::kCancel);
      ASSERT_TRUE(cancel.has_value());
      EXPECT_EQ(cancel->header.id, 1u);
      EXPECT_EQ(cancel->header.aux, static_cast<int>(expected));
      server.Send(RestOfReply(state));
      Settle(server);
    }
  } else if (event == Event::kDuplicateReply || event == Event::kReply) {
    Settle(server);
  }
  // The cancel and the channel's end come too late: both must find no call.
  call.context().Cancel();
  channel_.reset();
  EXPECT_EQ(call.ends(), 1);
}

std::string NameOfStates(const ::testing::TestParamInfo<std::tuple<State, Event>>& info) {
  return std::string(NameOf(std::get<0>(info.param))) + NameOf(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(
    All, NativeCallStates,
    ::testing::Combine(::testing::Values(State::kWaiting, State::kInFlight, State::kHalfReply),
                       ::testing::Values(Event::kReply, Event::kDuplicateReply, Event::kCancel,
                                         Event::kDeadline, Event::kClose, Event::kReset,
                                         Event::kGoAwayBefore, Event::kGoAwayAfter,
                                         Event::kChannelGone)),
    NameOfStates);

// No frame can come inside a piece.
INSTANTIATE_TEST_SUITE_P(Piece, NativeCallStates,
                         ::testing::Combine(::testing::Values(State::kInsidePiece),
                                            ::testing::Values(Event::kReply, Event::kDuplicateReply,
                                                              Event::kCancel, Event::kDeadline,
                                                              Event::kClose, Event::kReset,
                                                              Event::kChannelGone)),
                         NameOfStates);

}  // namespace
}  // namespace weft::internal::native
