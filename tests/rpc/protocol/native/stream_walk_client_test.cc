// Calls of all kinds, walked through their states by a server that speaks byte by byte: whatever
// happens in whatever state, a call ends once, everything that waits for it goes on, and the rest
// of the connection does not notice, or is told why it ended.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/protos/rows.weft.h"
#include "tests/rpc/protocol/native/client_walk_table.h"
#include "tests/rpc/protocol/native/stream_walk.h"
#include "tests/rpc/protocol/native/walked_call.h"
#include "weft/core/manual_clock.h"
#include "weft/rpc/channel.h"

namespace weft::internal::native {
namespace {

using absl::StatusCode;
using test::AccountingPeer;
using test::EndsKept;
using test::Kind;
using test::kKinds;
using test::RowBytes;
using test::ServerStreamsIn;
using test::Waits;
using test::WalkedCall;
using test::client_walk::CanBe;
using test::client_walk::CanCome;
using test::client_walk::Connection;
using test::client_walk::Event;
using test::client_walk::Expected;
using test::client_walk::GoesElsewhere;
using test::client_walk::Outcome;
using test::client_walk::State;

// Walks the table in client_walk_table.h: for each kind of call and each event, a channel is
// brought into the state, the event happens, and the outcome has to be the table's.
class ClientWalk : public ::testing::TestWithParam<State> {
 protected:
  ClientWalk() {
    RuntimeOptions options;
    options.clock = &clock_;
    options.log_level = LogLevel::kOff;
    runtime_ = *Runtime::Create(std::move(options));
  }

  void Walk(Kind kind, State state, Event event);
  void Reach(Kind kind, State state);
  void Happen(Kind kind, State state, Event event);
  void Start(const std::shared_ptr<EndsKept>& kept);
  void ReadRequests(AccountingPeer& server, int count);
  void ExpectGivenUp(State state, Event event, const Outcome& expected);
  void ExpectOthersServed(Kind kind, State state, Event event, const Outcome& expected);
  void ExpectStreamedAgain(State state);

  // The rest of an answer that is OK.
  std::string Reply(Kind kind, State state) const {
    std::string rest;
    if (state == State::kHalfMessage) {
      rest = raw::Data(1, true, false, kWhole.substr(200));
      if (!ServerStreamsIn(kind)) return rest;
    }
    return rest + raw::Reply(1, "");
  }
  const std::string kWhole = RowBytes(3'000);
  ManualClock clock_;
  std::shared_ptr<Runtime> runtime_;
  // Of one walk.
  std::optional<RawListener> listener_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<test::Rows::Stub> stub_;
  AccountingPeer server_;
  std::unique_ptr<WalkedCall> call_;
  std::shared_ptr<Waits> waits_;
  std::vector<uint64_t> requests_;  // read last
  uint64_t stream_request_ = 0;     // of those, the one that opened a stream
  std::unique_ptr<WalkedCall> bystander_;
  std::shared_ptr<Waits> bystander_waits_;
};

void ClientWalk::Reach(Kind kind, State state) {
  call_ = std::make_unique<WalkedCall>(kind, *stub_, waits_, absl::Seconds(1));
  // The bystander is served whatever happens to the walked call. Its timeout outlives kDeadline.
  bystander_ = std::make_unique<WalkedCall>(Kind::kUnary, *stub_, bystander_waits_, absl::Hours(1));
  // Both calls go over the one connection.
  RawPeer accepted = listener_->Accept();
  EXPECT_EQ(accepted.Read(8), raw::Preface());
  ASSERT_TRUE(accepted.ReadFrame(FrameType::kHello).has_value());
  server_ = AccountingPeer(std::move(accepted));
  // The server has not said Hello, so the calls wait in the channel.
  if (state == State::kWaiting) return;
  server_.Send(raw::Opening(test::StreamingHello()));
  ReadRequests(server_, 2);
  switch (state) {
    case State::kWaiting:
    case State::kStarted:
      break;
    case State::kSomeRead:
      server_.SendMessages(raw::Message(1, true, RowBytes(1'000)) +
                               raw::Message(1, true, RowBytes(1'000)) +
                               raw::Message(1, true, RowBytes(5'000)),
                           3, 7'000);
      server_.Settle();
      call_->Read();
      break;
    case State::kHalfClosed: {
      call_->HalfClose();
      const std::optional<RawFrame> end = server_.ReadFrame(FrameType::kMessage);
      ASSERT_TRUE(end.has_value());
      EXPECT_EQ(end->header.flags, kEnd | kNoMessage);
      break;
    }
    case State::kPeerEnded:
      // The first Read below takes the message, the second one the end.
      server_.SendMessages(raw::Message(1, true, RowBytes(10)) + raw::HalfClose(1, true), 1, 10);
      server_.Settle();
      call_->Read();
      call_->Read();
      break;
    case State::kReading:
      call_->Read();
      return;
    case State::kWriting:
      call_->Write();
      return;
    case State::kHalfMessage:
      if (ServerStreamsIn(kind)) {
        call_->Read();
        const std::string part = raw::MessageBegin(1, true, 3'000, kWhole.substr(0, 100)) +
                                 raw::Data(1, true, true, kWhole.substr(100, 100));
        server_.SendMessages(part, 1, 3'000);
      } else {
        server_.Send(raw::ReplyBegin(1, 3'000, kWhole.substr(0, 100)) +
                     raw::Data(1, true, true, kWhole.substr(100, 100)));
      }
      server_.Settle();
      return;
    case State::kFinishing:
      call_->Finish();
      server_.Settle();
      return;
    case State::kEnded:
      server_.Send(raw::Reply(1, ""));
      server_.Settle();
      break;
  }
  ASSERT_TRUE(kind == Kind::kUnary || waits_->AllOver());
}

void ClientWalk::Happen(Kind kind, State state, Event event) {
  // With the first thing that the server says the call leaves.
  std::string bytes = state == State::kWaiting ? raw::Opening(test::StreamingHello()) : "";
  const std::string reply = Reply(kind, state);
  const std::string message = raw::Message(1, true, RowBytes(2'000));
  switch (event) {
    case Event::kReply:
      bytes += reply;
      break;
    case Event::kInitialMetadata:
      bytes += raw::Headers(1, raw::Pair("k", "v")) + reply;
      break;
    case Event::kDuplicateReply:
      bytes += reply + raw::Reply(1, "") + raw::Error(1, 5, "again") +
               raw::ReplyBegin(1, 100, "again") + raw::Data(1, true, false, std::string(95, 'x'));
      break;
    case Event::kReplyInside:
      bytes += raw::Reply(1, "");
      break;
    case Event::kErrorInside:
      // The rest of the message may come behind it.
      bytes += raw::Error(1, 10, "given up") + raw::Data(1, true, false, kWhole.substr(200));
      break;
    case Event::kMessageInside:
      bytes += raw::Message(1, true, "");
      break;
    case Event::kDataAfterEnd:
      if (state == State::kHalfMessage && ServerStreamsIn(kind)) {
        bytes += raw::Data(1, true, false, kWhole.substr(200));
      }
      if (ServerStreamsIn(kind) && state != State::kPeerEnded) bytes += raw::HalfClose(1, true);
      bytes += raw::Message(1, true, "");
      break;
    case Event::kBeyondCredit:
      // Ten thousand bytes on a window of 4,096.
      for (int i = 0; i < 5; ++i) bytes += message;
      server_.SendMessages(bytes, 5, 10'000);
      if (state == State::kFinishing) server_.Send(reply);
      return;
    case Event::kBeyondConnectionCredit:
      // Into the hands of who waits, beyond all credit, and one more.
      server_.SendMessages(bytes + raw::Message(1, true, "") +
                               raw::Message(1, true, RowBytes(20'000)) + raw::Message(1, true, ""),
                           3, 20'000);
      if (state == State::kFinishing) server_.Send(reply);
      return;
    case Event::kCreditOverflow:
      bytes += raw::Window(1, true, UINT32_MAX);
      break;
    case Event::kConnectionCreditOverflow:
      bytes += raw::Window(0, false, UINT32_MAX);
      break;
    case Event::kNoCredit:
      bytes += raw::Window(1, true, 0);
      break;
    case Event::kCancel:
      call_->Cancel();
      return;
    case Event::kDrop:
      call_->Drop();
      return;
    case Event::kDeadline:
      // The call's timeout is 1 s.
      clock_.Advance(absl::Seconds(2));
      return;
    case Event::kGoAwayBefore:
      // Neither of the two calls was taken, so both go elsewhere if they may.
      bytes += raw::GoAway(0, "bye");
      break;
    case Event::kGoAwayAfter:
      // Both calls were taken, and are answered here.
      bytes += raw::GoAway(2, "bye") + reply;
      break;
    case Event::kClose:
      server_.raw().Close();
      return;
  }
  server_.Send(bytes);
}

void ClientWalk::ReadRequests(AccountingPeer& server, int count) {
  requests_.clear();
  for (int i = 0; i < count; ++i) {
    const std::optional<RawFrame> request = server.ReadFrame(FrameType::kRequest);
    ASSERT_TRUE(request.has_value()) << "no request";
    requests_.push_back(request->header.id);
    if (!request->header.has(kEnd)) stream_request_ = request->header.id;
  }
}

// That the server was told, where it had the call, and that what it still says is for nobody.
void ClientWalk::ExpectGivenUp(State state, Event event, const Outcome& expected) {
  if (expected.connection != Connection::kLives || expected.code == StatusCode::kOk) return;
  // The server itself has ended the call, and need not be told.
  if (event == Event::kErrorInside) return;
  const std::optional<RawFrame> cancel = server_.ReadFrame(FrameType::kCancel);
  ASSERT_TRUE(cancel.has_value());
  EXPECT_EQ(cancel->header.id, 1u);
  EXPECT_EQ(cancel->header.aux, static_cast<int>(expected.code));
  if (state == State::kHalfMessage) {
    server_.Send(raw::Data(1, true, false, kWhole.substr(200)));
  } else {
    // Nobody reads this message, so its credit has to come back at once.
    server_.SendMessages(raw::Message(1, true, RowBytes(6'000)), 1, 6'000);
  }
  // A reply to a call that was given up is no fault.
  server_.Send(raw::Reply(1, "late"));
}

// On the next connection: what the client had streamed on the first one.
void ClientWalk::ExpectStreamedAgain(State state) {
  const uint64_t id = stream_request_;
  if (state == State::kWriting) {  // as much as there is credit for
    std::vector<int> messages = server_.Messages(id, 5);
    messages.resize(5);  // its end may have come, too, before the other call's request
    EXPECT_EQ(messages, std::vector<int>(5, 0));
  }
  if (state == State::kHalfClosed) {
    EXPECT_EQ(server_.Messages(id, 1), std::vector<int>{kEnd | kNoMessage});
  }
}

// The other call of the connection, and, where it goes on elsewhere, the call itself.
void ClientWalk::ExpectOthersServed(Kind kind, State state, Event event, const Outcome& expected) {
  if (expected.connection == Connection::kCloses) return;
  if (event == Event::kGoAwayBefore) {
    EXPECT_TRUE(server_.raw().WaitForClose());
    RawPeer accepted = listener_->Accept();
    accepted.Send(raw::Opening(test::StreamingHello()));
    accepted.Read(8);
    server_ = AccountingPeer(std::move(accepted));
    ReadRequests(server_, GoesElsewhere(kind, state) ? 2 : 1);
    ExpectStreamedAgain(state);
    // The numbers on this connection begin anew.
    for (const uint64_t id : requests_) server_.Send(raw::Reply(id, ""));
  } else {
    ASSERT_FALSE(requests_.empty());
    server_.Send(raw::Reply(requests_.back(), ""));
  }
  ASSERT_TRUE(bystander_waits_->AllOver());
  EXPECT_EQ(bystander_waits_->ends.Get(), std::vector{absl::OkStatus()});
  if (event == Event::kGoAwayAfter) {
    EXPECT_TRUE(server_.raw().WaitForClose()) << "nothing is under way";
  }
}

void ClientWalk::Start(const std::shared_ptr<EndsKept>& kept) {
  ChannelOptions options;
  options.runtime = runtime_;
  options.limits.max_message_bytes = 100'000;
  options.limits.heartbeat_interval = absl::ZeroDuration();
  options.limits.stream_window_bytes = test::kStreamWindow;
  options.limits.connection_window_bytes = test::kConnectionWindow;
  // The clock stands still: the next attempt to connect must not wait for it.
  options.backoff = absl::ZeroDuration();
  options.max_backoff = absl::ZeroDuration();
  options.interceptors = {kept};
  listener_.emplace();
  channel_ = *Channel::Create(listener_->address(), options);
  stub_ = std::make_unique<test::Rows::Stub>(*channel_);
  waits_ = std::make_shared<Waits>();
  bystander_waits_ = std::make_shared<Waits>();
}

void ClientWalk::Walk(Kind kind, State state, Event event) {
  const Outcome expected = Expected(kind, state, event);
  const auto kept = std::make_shared<EndsKept>();
  Start(kept);
  ASSERT_NO_FATAL_FAILURE(Reach(kind, state));
  ASSERT_NO_FATAL_FAILURE(Happen(kind, state, event));
  if (expected.connection == Connection::kCloses) {
    EXPECT_TRUE(event == Event::kClose || server_.raw().WaitForClose());
  } else if (state == State::kWaiting) {
    const bool never_sent =
        event == Event::kCancel || event == Event::kDrop || event == Event::kDeadline;
    if (never_sent) {
      ASSERT_TRUE(kept->ends.WaitFor([](const auto& ends) { return !ends.empty(); }));
      server_.Send(raw::Opening(test::StreamingHello()));
    }
    ReadRequests(server_, never_sent ? 1 : 2);
    if (!never_sent) ExpectGivenUp(state, event, expected);
  } else {
    ExpectGivenUp(state, event, expected);
  }
  if (expected.connection == Connection::kLives) server_.Settle();
  // A call that goes elsewhere ends only when the next server has answered, below.
  if (event != Event::kGoAwayBefore || !GoesElsewhere(kind, state)) {
    ASSERT_TRUE(waits_->AllOver()) << "something waits for ever";
  }
  if (event != Event::kDrop) call_->Finish();
  ExpectOthersServed(kind, state, event, expected);
  ASSERT_TRUE(waits_->AllOver()) << "the call has not ended";
  call_.reset();
  if (expected.connection == Connection::kLives) {
    server_.Settle();
    EXPECT_LT(server_.owed(), test::kReturned) << "credit of the connection is lost";
    EXPECT_GE(server_.owed(), 0) << "credit was given back twice";
  }
  stub_.reset();
  channel_.reset();
  ASSERT_TRUE(bystander_waits_->AllOver());
  EXPECT_EQ(bystander_waits_->ends.Get().size(), 1u);
  bystander_.reset();

  const std::vector<absl::Status> told = waits_->ends.Get();
  // Nobody waits for the end of a call that was dropped before its Finish.
  const bool tells = event != Event::kDrop || state == State::kFinishing;
  ASSERT_EQ(told.size(), tells ? 1u : 0u);
  for (const absl::Status& status : told) EXPECT_EQ(status.code(), expected.code) << status;
  // The interceptor saw both ends, too, and the same.
  const std::vector<EndsKept::End> ends = kept->ends.Get();
  // One of the two is the bystander's, in either order.
  ASSERT_EQ(ends.size(), 2u);
  EXPECT_TRUE(ends[0].status.code() == expected.code || ends[1].status.code() == expected.code)
      << ends[0].status << ends[1].status;
}

TEST_P(ClientWalk, EndsEveryCallOnceWhateverHappens) {
  for (const Kind kind : kKinds) {
    if (!CanBe(kind, GetParam())) continue;
    for (int e = 0; e <= static_cast<int>(Event::kLast); ++e) {
      const auto event = static_cast<Event>(e);
      if (!CanCome(kind, GetParam(), event)) continue;
      SCOPED_TRACE(absl::StrCat(test::NameOf(kind), ", ", NameOf(event)));
      Walk(kind, GetParam(), event);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(In, ClientWalk,
                         ::testing::Values(State::kWaiting, State::kStarted, State::kSomeRead,
                                           State::kHalfClosed, State::kPeerEnded, State::kReading,
                                           State::kWriting, State::kHalfMessage, State::kFinishing,
                                           State::kEnded),
                         [](const auto& state) { return std::string(NameOf(state.param)); });

}  // namespace
}  // namespace weft::internal::native
