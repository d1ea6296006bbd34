// A server's calls of all kinds and in all styles, walked through their states by a client that
// speaks byte by byte: whatever comes in whatever state, a handler is left, and told of its end at
// most once, a call is answered at most once, and the connection goes on, or its end is explained.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/rpc/protocol/native/stream_walk.h"
#include "tests/rpc/protocol/native/walked_rows.h"
#include "weft/core/manual_clock.h"
#include "weft/rpc/server.h"

namespace weft::internal::native {
namespace {

using absl::StatusCode;
using test::AccountingPeer;
using test::ClientStreamsIn;
using test::Kind;
using test::kKinds;
using test::MethodOf;
using test::RowBytes;
using test::RowsScript;
using test::ServerStreamsIn;
using ::testing::ElementsAre;

enum class Style { kBlocking, kCoroutine, kCallbacks };
enum class State {
  kHalfRequest,  // a part of the request is here
  kRunning,      // the handler does something else
  kReading,      // it waits for a message
  kHalfMessage,  // the same, and a part of one is here
  kWriting,      // it waits for credit
  kAnswered,
};
enum class Event {
  kNothing,
  kSecondStart,  // of the same call
  kDataAfterEnd,
  kMessageInside,  // another
  kBeyondCredit,
  kBeyondConnectionCredit,
  kCreditOverflow,
  kConnectionCreditOverflow,
  kNoCredit,
  kCancel,
  kDeadline,
  kGoAway,
  kClose,
  kEmptyMessage,
  kEmptyPiece,
  kEmptyMessageInPieces,
  kMessageOfUnknownCodec,
  // Of another call.
  kRequestOfUnknownCodec,
  kLargeMetadata,
  kLongestTimeout,
  kCallZero,
  kCallBeyondAll,
  kUnknownFlags,
  kMessageOfNoCall,
  kInitialMetadata,  // which is not the client's to send
  kLast = kInitialMetadata
};

const char* NameOf(Style s) {
  constexpr const char* kNames[] = {"Blocking", "Coroutine", "Callbacks"};
  return kNames[static_cast<int>(s)];
}
const char* NameOf(State s) {
  constexpr const char* kNames[] = {"HalfRequest", "Running", "Reading",
                                    "HalfMessage", "Writing", "Answered"};
  return kNames[static_cast<int>(s)];
}
const char* NameOf(Event e) {
  constexpr const char* kNames[] = {"Nothing",
                                    "SecondStart",
                                    "DataAfterEnd",
                                    "MessageInside",
                                    "BeyondCredit",
                                    "BeyondConnectionCredit",
                                    "CreditOverflow",
                                    "ConnectionCreditOverflow",
                                    "NoCredit",
                                    "Cancel",
                                    "Deadline",
                                    "GoAway",
                                    "Close",
                                    "EmptyMessage",
                                    "EmptyPiece",
                                    "EmptyMessageInPieces",
                                    "MessageOfUnknownCodec",
                                    "RequestOfUnknownCodec",
                                    "LargeMetadata",
                                    "LongestTimeout",
                                    "CallZero",
                                    "CallBeyondAll",
                                    "UnknownFlags",
                                    "MessageOfNoCall",
                                    "InitialMetadata"};
  return kNames[static_cast<int>(e)];
}

bool CanBe(Kind kind, State state) {
  switch (state) {
    case State::kHalfRequest:
      return !ClientStreamsIn(kind);
    case State::kReading:
    case State::kHalfMessage:
      return ClientStreamsIn(kind);
    case State::kWriting:
      return ServerStreamsIn(kind);
    default:
      return true;
  }
}

// True if the client may send messages in this state.
bool Open(Kind kind, State state) {
  return ClientStreamsIn(kind) && state != State::kWriting && state != State::kAnswered;
}

bool CanCome(Kind kind, State state, Event event) {
  switch (event) {
    case Event::kDataAfterEnd:
      // A handler that reads ends with its messages.
      return state != State::kReading && state != State::kHalfMessage;
    case Event::kMessageInside:
      return state == State::kHalfMessage;
    case Event::kBeyondCredit:
    case Event::kBeyondConnectionCredit:
      // A handler that reads gives credit back.
      return ClientStreamsIn(kind) && (state == State::kRunning || state == State::kAnswered);
    case Event::kEmptyMessage:
    case Event::kMessageOfUnknownCodec:
      return Open(kind, state) && state != State::kHalfMessage;
    default:
      return true;
  }
}

// ---- What is to come of it

struct Outcome {
  std::optional<StatusCode> answer;  // none: the connection closes
  bool cancelled = false;            // the handler is told so, where it runs
};

Outcome Expected(Kind kind, State state, Event event) {
  const Outcome goes_on{StatusCode::kOk, false};
  const Outcome closes{std::nullopt, true};
  const bool answered = state == State::kAnswered;
  switch (event) {
    case Event::kNothing:
    case Event::kGoAway:
    case Event::kEmptyMessage:
    case Event::kRequestOfUnknownCodec:
    case Event::kLargeMetadata:
    case Event::kLongestTimeout:
      return goes_on;
    case Event::kDataAfterEnd:
    case Event::kBeyondConnectionCredit:
    case Event::kCreditOverflow:
      return answered ? goes_on : closes;
    case Event::kBeyondCredit:
      return answered ? goes_on : Outcome{StatusCode::kInternal, true};
    case Event::kCancel:
      return answered ? goes_on : Outcome{StatusCode::kCancelled, true};
    case Event::kDeadline:
      if (answered) return goes_on;
      // A unary handler chooses its own status then.
      return {state != State::kHalfRequest && kind == Kind::kUnary ? StatusCode::kCancelled
                                                                   : StatusCode::kDeadlineExceeded,
              true};
    case Event::kMessageOfUnknownCodec:
      return {StatusCode::kUnimplemented, false};
    case Event::kSecondStart:
    case Event::kMessageInside:
    case Event::kConnectionCreditOverflow:
    case Event::kNoCredit:
    case Event::kClose:
    case Event::kEmptyPiece:
    case Event::kEmptyMessageInPieces:
    case Event::kCallZero:
    case Event::kCallBeyondAll:
    case Event::kUnknownFlags:
    case Event::kMessageOfNoCall:
    case Event::kInitialMetadata:
      return closes;
  }
  return goes_on;
}

// ---- The walk

class ServerWalk : public ::testing::TestWithParam<State> {
 protected:
  ServerWalk() {
    RuntimeOptions options;
    options.clock = &clock_;
    options.worker_threads = 3;
    options.log_level = LogLevel::kOff;
    runtime_ = *Runtime::Create(std::move(options));
  }

  void WalkAll(Style style, Service& service);
  void Walk(Kind kind, State state, Event event);
  void Connect();
  void Reach(Kind kind, State state);
  void Happen(Kind kind, Event event);
  void Complete(Kind kind, State state, Event event);
  void ExpectAnswers(Event event, StatusCode expected);

  const std::string kWhole = RowBytes(3'000);
  ManualClock clock_;
  std::shared_ptr<Runtime> runtime_;
  RowsScript script_;
  std::unique_ptr<Server> server_;
  AccountingPeer client_;
};

void ServerWalk::Connect() {
  RawPeer peer = RawPeer::ConnectTo(server_->port());
  peer.Send(raw::Opening(test::StreamingHello()));
  EXPECT_EQ(peer.Read(8), raw::Preface());
  ASSERT_TRUE(peer.ReadFrame(FrameType::kHello).has_value());
  client_ = AccountingPeer(std::move(peer));
}

void ServerWalk::Reach(Kind kind, State state) {
  // The gate holds back only the handler that is to be found running.
  script_.counts.Update([&](auto& c) { c = {.open = state != State::kRunning}; });
  // Twenty rows of 900 bytes are more than a stream's window of 4,096.
  script_.rows_to_write = state == State::kWriting ? 20 : 0;
  raw::RequestFields request{.id = 1, .name = MethodOf(kind), .timeout_us = 1'000'000};
  request.opens = ClientStreamsIn(kind);
  if (state == State::kHalfRequest) {
    // The size of the whole message, of which a fifteenth comes.
    request.more = 3'000;
    request.message = kWhole.substr(0, 100);
    client_.Send(raw::Request(request) + raw::Data(1, false, true, kWhole.substr(100, 100)));
    client_.Settle();
    return;
  }
  client_.Send(raw::Request(request));
  ASSERT_TRUE(script_.counts.WaitFor([](const auto& c) { return c.entered == 1; }));
  switch (state) {
    case State::kHalfMessage:
      client_.SendMessages(raw::MessageBegin(1, false, 3'000, kWhole.substr(0, 100)) +
                               raw::Data(1, false, true, kWhole.substr(100, 100)),
                           1, 3'000);
      break;
    case State::kWriting:
      // The handler writes when it has read to the end.
      if (ClientStreamsIn(kind)) client_.Send(raw::HalfClose(1, false));
      // All that there is credit for.
      for (int64_t bytes = 0; bytes < test::kStreamWindow;) {
        const std::optional<RawFrame> message = client_.ReadFrame(FrameType::kMessage);
        ASSERT_TRUE(message.has_value());
        bytes += message->header.length + test::kCost;
      }
      break;
    case State::kAnswered:
      if (ClientStreamsIn(kind)) client_.Send(raw::HalfClose(1, false));
      ASSERT_THAT(client_.Answers(1), ElementsAre(StatusCode::kOk));
      ASSERT_TRUE(script_.AllLeft());
      break;
    default:
      break;
  }
  client_.Settle();
  client_.Settle();
}

void ServerWalk::Happen(Kind kind, Event event) {
  const std::string message = raw::Message(1, false, RowBytes(2'000));
  const std::string get = MethodOf(Kind::kUnary);
  switch (event) {
    case Event::kNothing:
      return;
    case Event::kSecondStart:
      client_.Send(raw::Request({.id = 1, .name = get}));
      return;
    case Event::kDataAfterEnd:
      if (Open(kind, GetParam())) client_.Send(raw::HalfClose(1, false));
      client_.Send(raw::Message(1, false, ""));
      return;
    case Event::kMessageInside:
      client_.Send(raw::HalfClose(1, false));
      return;
    case Event::kBeyondCredit:
      // Two use up all but 64 bytes of 4,096. The third may begin with these, the fourth may not.
      client_.SendMessages(message + message + message + message, 4, 8'000);
      return;
    case Event::kBeyondConnectionCredit:
      // More than the connection's 16,384: any message behind the first is a fault.
      client_.SendMessages(raw::Message(1, false, RowBytes(20'000)) + raw::Message(1, false, ""), 2,
                           20'000);
      return;
    case Event::kCreditOverflow:
      client_.Send(raw::Window(1, false, UINT32_MAX));
      return;
    case Event::kConnectionCreditOverflow:
      client_.Send(raw::Window(0, false, UINT32_MAX));
      return;
    case Event::kNoCredit:
      client_.Send(raw::Window(1, false, 0));
      return;
    case Event::kCancel:
      client_.Send(raw::Cancel(1));
      return;
    case Event::kDeadline:
      // The request's timeout is 1 s.
      clock_.Advance(absl::Seconds(2));
      return;
    case Event::kGoAway:
      client_.Send(raw::GoAway(0, "bye"));
      EXPECT_TRUE(client_.ReadFrame(FrameType::kGoAwayAck).has_value());
      return;
    case Event::kClose:
      client_.raw().Close();
      return;
    case Event::kEmptyMessage:
      client_.SendMessages(raw::Message(1, false, ""), 1, 0);
      return;
    case Event::kEmptyPiece:
      client_.Send(raw::Data(1, false, true, ""));
      return;
    case Event::kEmptyMessageInPieces:
      client_.Send(raw::MessageBegin(1, false, 0, ""));
      return;
    case Event::kMessageOfUnknownCodec:
      client_.SendMessages(
          raw::Frame(0x0A, 0x04, 0, 1,
                     // Codec 9, the size of the inflated message, and the bytes.
                     std::string("\x09", 1) + raw::Number(uint32_t{100}) + "packed"),
          1, 6);
      return;
    case Event::kRequestOfUnknownCodec:
    case Event::kLargeMetadata:
    case Event::kLongestTimeout: {
      raw::RequestFields request{.id = 2, .name = get};
      if (event == Event::kLongestTimeout) request.timeout_us = UINT64_MAX;
      if (event == Event::kLargeMetadata) request.metadata = std::string(20'000, 'm');
      std::string bytes = raw::Request(request);
      if (event == Event::kRequestOfUnknownCodec) {
        request.message = std::string("\x09", 1) + raw::Number(uint32_t{100}) + "packed";
        bytes = raw::Request(request);
        // The flags' byte: raw::Request has no field for COMPRESSED.
        bytes[5] = static_cast<char>(bytes[5] | 0x04);
      }
      // The other call's handler comes to the same gate.
      script_.SetGate(true);
      client_.Send(bytes);
      return;
    }
    case Event::kCallZero:
      client_.Send(raw::Request({.id = 0, .name = get}));
      return;
    case Event::kCallBeyondAll:
      client_.Send(raw::Request({.id = uint64_t{1} << 63, .name = get}));
      return;
    case Event::kUnknownFlags:
      client_.Send(raw::Frame(0x0A, 0x20, 0, 1));
      return;
    case Event::kMessageOfNoCall:
      client_.Send(raw::Message(77, false, ""));
      return;
    case Event::kInitialMetadata:
      client_.Send(raw::Headers(1, raw::Pair("k", "v")));
      return;
  }
}

// Does what is left to do of the call.
void ServerWalk::Complete(Kind kind, State state, Event event) {
  script_.SetGate(true);
  // Either event has ended the call.
  if (event == Event::kCancel || event == Event::kBeyondCredit) return;
  if (state == State::kHalfRequest || state == State::kHalfMessage) {
    client_.Send(raw::Data(1, false, false, kWhole.substr(200)));
  }
  if (Open(kind, state)) client_.Send(raw::HalfClose(1, false));
  if (state == State::kWriting) {
    // Credit for all that the handler still has to write.
    client_.Send(raw::Window(0, false, 100'000) + raw::Window(1, false, 100'000));
  }
}

// One to the call, one to the other that the event was, and one to a third.
void ServerWalk::ExpectAnswers(Event event, StatusCode expected) {
  EXPECT_THAT(client_.Answers(1), ElementsAre(expected));
  if (event == Event::kRequestOfUnknownCodec) {
    EXPECT_THAT(client_.Answers(2), ElementsAre(StatusCode::kUnimplemented));
  } else if (event == Event::kLargeMetadata) {
    EXPECT_THAT(client_.Answers(2), ElementsAre(StatusCode::kResourceExhausted));
  } else if (event == Event::kLongestTimeout) {
    EXPECT_THAT(client_.Answers(2), ElementsAre(StatusCode::kOk));
  }
  // The connection still serves, and all answers before this one have come.
  client_.Send(raw::Request({.id = 99, .name = MethodOf(Kind::kUnary)}));
  EXPECT_THAT(client_.Answers(99), ElementsAre(StatusCode::kOk));
  client_.Settle();
  EXPECT_THAT(client_.Answers(1), ElementsAre(expected)) << "answered again";
}

void ServerWalk::Walk(Kind kind, State state, Event event) {
  const Outcome expected = Expected(kind, state, event);
  ASSERT_NO_FATAL_FAILURE(Connect());
  ASSERT_NO_FATAL_FAILURE(Reach(kind, state));
  Happen(kind, event);
  if (!expected.answer.has_value()) {
    if (event != Event::kClose) {
      const std::optional<RawFrame> goaway = client_.ReadFrame(FrameType::kGoAway);
      ASSERT_TRUE(goaway.has_value()) << "closed without a word";
      EXPECT_NE(goaway->body, "");
      EXPECT_TRUE(client_.raw().WaitForClose());
    }
  } else {
    client_.Settle();
    if (state != State::kAnswered) Complete(kind, state, event);
    ExpectAnswers(event, *expected.answer);
    EXPECT_LT(client_.owed(), test::kReturned) << "credit of the connection is lost";
    EXPECT_GE(client_.owed(), 0) << "credit was given back twice";
  }
  ASSERT_TRUE(script_.AllLeft()) << "a handler waits for ever";
  // A handler that was not entered, or has left, is told nothing.
  const bool ran = state != State::kHalfRequest && state != State::kAnswered;
  const RowsScript::Counts counts = script_.counts.Get();
  // Of a connection that ends its writer may hear first: it cannot write any more.
  const bool heard = state == State::kWriting && !expected.answer.has_value();
  if (!heard || counts.cancelled != 0) {
    EXPECT_EQ(counts.cancelled, expected.cancelled && ran ? 1 : 0);
  }
}

void ServerWalk::WalkAll(Style style, Service& service) {
  ServerOptions options;
  options.runtime = runtime_;
  options.limits.max_message_bytes = 100'000;
  // The client answers no heartbeats, and the clock jumps over deadlines.
  options.limits.heartbeat_interval = absl::ZeroDuration();
  options.limits.stream_window_bytes = test::kStreamWindow;
  options.limits.connection_window_bytes = test::kConnectionWindow;
  server_ = std::make_unique<Server>(options);
  ASSERT_TRUE(server_->Register(service).ok());
  ASSERT_TRUE(server_->Start("127.0.0.1:0").ok());
  for (const Kind kind : kKinds) {
    if (!CanBe(kind, GetParam())) continue;
    for (int e = 0; e <= static_cast<int>(Event::kLast); ++e) {
      const auto event = static_cast<Event>(e);
      if (!CanCome(kind, GetParam(), event)) continue;
      SCOPED_TRACE(absl::StrCat(NameOf(style), ", ", test::NameOf(kind), ", ", NameOf(event)));
      Walk(kind, GetParam(), event);
    }
  }
  server_.reset();
}

TEST_P(ServerWalk, EndsEveryCallOnceWhateverComes) {
  test::BlockingWalkedRows blocking(script_);
  WalkAll(Style::kBlocking, blocking);
  test::CoroutineWalkedRows coroutines(script_);
  WalkAll(Style::kCoroutine, coroutines);
  test::AnsweringWalkedRows callbacks(script_);
  WalkAll(Style::kCallbacks, callbacks);
}

INSTANTIATE_TEST_SUITE_P(In, ServerWalk,
                         ::testing::Values(State::kHalfRequest, State::kRunning, State::kReading,
                                           State::kHalfMessage, State::kWriting, State::kAnswered),
                         [](const auto& state) { return std::string(NameOf(state.param)); });

}  // namespace
}  // namespace weft::internal::native
