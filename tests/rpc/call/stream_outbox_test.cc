// The sending half of a stream: its states, its writer, and what is sent again to the next
// transport.
#include "weft/rpc/call/stream_outbox.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/protos/rows.pb.h"
#include "tests/support/drawn_states.h"

namespace weft::test {

using namespace internal;

namespace {

using State = StreamOutbox::State;
using Again = StreamOutbox::Again;

TEST(StreamOutbox, GoesFromStateToStateAsItsHeaderDraws) {
  const std::vector<std::string> states{"kWriting", "kHalfClosed", "kLastSent", "kEnded"};
  const Transitions drawn = DrawnIn("rpc/call/stream_outbox.h", states);
  // A drawing that is not found would be empty.
  EXPECT_EQ(drawn.size(), 5u);
  EXPECT_EQ(drawn, Allowed<State>(states, StreamOutbox::MayGo));
}

// Is never sent anything here: the outbox says only what is to be sent.
class NoTransport final : public StreamTransport {
 public:
  bool HasRoom(StreamPort&) override { return false; }
  StreamSent SendMessage(StreamPort&, const StreamMessage&, bool, bool, absl::Status*) override {
    ADD_FAILURE();
    return StreamSent::kEnded;
  }
  void SendHalfClose(StreamPort&) override { ADD_FAILURE(); }
  void ReturnCredit(StreamPort&, size_t) override { ADD_FAILURE(); }
};

class StreamOutboxTest : public testing::Test {
 protected:
  static void Call(StreamWake wake) { CallIfSet(wake); }
  bool Wait() {
    StreamWake wake = [this] { ++woken; };
    return outbox.WaitForRoom(wake);
  }
  bool Open(const StreamOutbox::Transport& transport) {
    half_close.reset();
    return outbox.Open(*transport, &half_close);
  }
  void OpenKeeping() {
    outbox.KeepSent();
    outbox.Bind(first);
    ASSERT_TRUE(Open(first));
    StreamOutbox::KeptSend none;
    // Nothing was sent before, so new messages may go at once.
    ASSERT_EQ(outbox.NextAgain(&none), Again::kDone);
  }
  StreamSent Check(bool* keeps = nullptr) {
    bool ignored;
    return outbox.CheckWritable(&to, keeps != nullptr ? keeps : &ignored);
  }
  StreamSent Begin(StreamOutbox::KeptSend* send, int64_t number = 1) {
    row.set_number(number);
    return outbox.BeginKept({.message = &row}, /*last=*/false, send);
  }
  void SendKept(int64_t number) {
    StreamOutbox::KeptSend send;
    ASSERT_EQ(Begin(&send, number), StreamSent::kSent);
    ASSERT_EQ(outbox.EndKept(send, StreamSent::kSent), StreamSent::kSent);
  }
  static int64_t NumberOf(const StreamOutbox::KeptSend& send) {
    Row row;
    EXPECT_TRUE(row.ParseFromString(std::string(send.message.bytes)));
    return row.number();
  }

  const StreamOutbox::Transport first = std::make_shared<NoTransport>();
  const StreamOutbox::Transport second = std::make_shared<NoTransport>();
  StreamOutbox outbox;
  StreamOutbox::Transport to;
  StreamOutbox::Transport half_close;
  Row row;
  int woken = 0;
};

TEST_F(StreamOutboxTest, BlocksUntilItHasATransport) {
  EXPECT_EQ(Check(), StreamSent::kBlocked);
  outbox.Bind(first);
  bool keeps = true;
  EXPECT_EQ(Check(&keeps), StreamSent::kSent);
  EXPECT_EQ(to, first);
  EXPECT_FALSE(keeps);
}

TEST_F(StreamOutboxTest, ThatKeepsBlocksUntilTheCallWasSent) {
  // Bound, but not open: the request itself may not have gone out yet.
  outbox.KeepSent();
  outbox.Bind(first);
  EXPECT_EQ(Check(), StreamSent::kBlocked);
  EXPECT_FALSE(Open(second)) << "that is not its transport";
  ASSERT_TRUE(Open(first));
  // Opened, a keeping outbox first looks for what is to go again, even if that is nothing.
  EXPECT_TRUE(outbox.sending_again());
  StreamOutbox::KeptSend none;
  EXPECT_EQ(outbox.NextAgain(&none), Again::kDone);
  bool keeps = false;
  EXPECT_EQ(Check(&keeps), StreamSent::kSent);
  EXPECT_TRUE(keeps);
}

TEST_F(StreamOutboxTest, RoomIsToldOnceOrRemembered) {
  ASSERT_TRUE(Wait());
  Call(outbox.SignalRoom());
  EXPECT_EQ(woken, 1);
  Call(outbox.SignalRoom());
  // Room that came while nobody waited must not be forgotten: a writer would wait for ever.
  EXPECT_FALSE(Wait()) << "there has been room meanwhile";
  // The remembered room was used up by the wait above.
  EXPECT_TRUE(Wait());
  Call(outbox.End());
  EXPECT_EQ(woken, 2);
  EXPECT_FALSE(Wait());
}

TEST_F(StreamOutboxTest, TellsItsHalfCloseOnceTheCallWasSent) {
  EXPECT_EQ(outbox.HalfClose(), nullptr);
  outbox.Bind(first);
  ASSERT_TRUE(Open(first));
  EXPECT_EQ(half_close, first);
}

TEST_F(StreamOutboxTest, SendsItsHalfCloseBehindWhatGoesAgain) {
  OpenKeeping();
  SendKept(1);
  EXPECT_EQ(outbox.HalfClose(), first);
  ASSERT_TRUE(outbox.Unbind());
  outbox.Bind(second);
  ASSERT_TRUE(Open(second));
  // A half-close now would overtake the message.
  EXPECT_EQ(half_close, nullptr);
  StreamOutbox::KeptSend send;
  ASSERT_EQ(outbox.NextAgain(&send), Again::kMessage);
  EXPECT_EQ(send.transport, second);
  EXPECT_EQ(NumberOf(send), 1);
  EXPECT_TRUE(outbox.EndAgain(send, StreamSent::kSent));
  EXPECT_EQ(outbox.NextAgain(&send), Again::kHalfClose);
  EXPECT_EQ(outbox.NextAgain(&send), Again::kNothing);
}

TEST_F(StreamOutboxTest, TakesBackAMessageThatHadNoRoom) {
  OpenKeeping();
  StreamOutbox::KeptSend send;
  ASSERT_EQ(Begin(&send), StreamSent::kSent);
  EXPECT_EQ(outbox.EndKept(send, StreamSent::kBlocked), StreamSent::kBlocked);
  ASSERT_TRUE(outbox.Unbind());
  outbox.Bind(second);
  ASSERT_TRUE(Open(second));
  // The writer was told that there is no room, and will write the message again: the copy has gone.
  EXPECT_EQ(outbox.NextAgain(&send), Again::kDone);
}

TEST_F(StreamOutboxTest, AMessageThatIsOvertakenByTheNextTransportGoesThere) {
  OpenKeeping();
  StreamOutbox::KeptSend send;
  ASSERT_EQ(Begin(&send, 7), StreamSent::kSent);
  ASSERT_TRUE(outbox.Unbind());
  // The first transport did not take it, but it is kept: to its writer it is sent.
  EXPECT_EQ(outbox.EndKept(send, StreamSent::kEnded), StreamSent::kSent);
  outbox.Bind(second);
  ASSERT_TRUE(Open(second));
  StreamOutbox::KeptSend again;
  ASSERT_EQ(outbox.NextAgain(&again), Again::kMessage);
  EXPECT_EQ(NumberOf(again), 7);
  ASSERT_TRUE(outbox.Unbind());
  EXPECT_FALSE(outbox.EndAgain(again, StreamSent::kSent)) << "the call has gone on";
}

TEST_F(StreamOutboxTest, StaysWithItsTransportOnceNothingIsKept) {
  OpenKeeping();
  SendKept(1);
  // A server has answered something: the call must not go anywhere else.
  outbox.StopKeeping();
  EXPECT_FALSE(outbox.Unbind());
  bool keeps = true;
  EXPECT_EQ(Check(&keeps), StreamSent::kSent);
  EXPECT_FALSE(keeps);
}

// Each state, and what comes upon it.
enum class Event { kHalfClose, kLastSent, kLose, kRoom, kEnd };

struct Step {
  State state;
  Event event;
  State then;
  StreamSent write;  // what a writer finds
};

TEST(StreamOutboxStates, EachMeetsEachEvent) {
  constexpr Step kSteps[] = {
      {State::kWriting, Event::kHalfClose, State::kHalfClosed, StreamSent::kEnded},
      {State::kWriting, Event::kLastSent, State::kLastSent, StreamSent::kEnded},
      {State::kWriting, Event::kLose, State::kWriting, StreamSent::kBlocked},
      {State::kWriting, Event::kRoom, State::kWriting, StreamSent::kSent},
      {State::kWriting, Event::kEnd, State::kEnded, StreamSent::kEnded},
      {State::kHalfClosed, Event::kHalfClose, State::kHalfClosed, StreamSent::kEnded},
      {State::kHalfClosed, Event::kLastSent, State::kHalfClosed, StreamSent::kEnded},
      {State::kHalfClosed, Event::kLose, State::kHalfClosed, StreamSent::kEnded},
      {State::kHalfClosed, Event::kRoom, State::kHalfClosed, StreamSent::kEnded},
      {State::kHalfClosed, Event::kEnd, State::kEnded, StreamSent::kEnded},
      {State::kLastSent, Event::kHalfClose, State::kLastSent, StreamSent::kEnded},
      {State::kLastSent, Event::kLastSent, State::kLastSent, StreamSent::kEnded},
      {State::kLastSent, Event::kLose, State::kLastSent, StreamSent::kEnded},
      {State::kLastSent, Event::kRoom, State::kLastSent, StreamSent::kEnded},
      {State::kLastSent, Event::kEnd, State::kEnded, StreamSent::kEnded},
      {State::kEnded, Event::kHalfClose, State::kEnded, StreamSent::kEnded},
      {State::kEnded, Event::kLastSent, State::kEnded, StreamSent::kEnded},
      {State::kEnded, Event::kLose, State::kEnded, StreamSent::kEnded},
      {State::kEnded, Event::kRoom, State::kEnded, StreamSent::kEnded},
      {State::kEnded, Event::kEnd, State::kEnded, StreamSent::kEnded},
  };
  const auto transport = std::make_shared<NoTransport>();
  for (const Step& step : kSteps) {
    SCOPED_TRACE(testing::Message() << "state " << static_cast<int>(step.state) << ", event "
                                    << static_cast<int>(step.event));
    StreamOutbox outbox;
    outbox.Bind(transport);
    StreamWake woken;
    StreamOutbox::Transport told;
    if (step.state == State::kHalfClosed) told = outbox.HalfClose();
    if (step.state == State::kLastSent) outbox.SetLastSent();
    if (step.state == State::kEnded) woken = outbox.End();
    ASSERT_EQ(outbox.state(), step.state);
    switch (step.event) {
      case Event::kHalfClose:
        told = outbox.HalfClose();
        EXPECT_EQ(told != nullptr, step.state == State::kWriting) << "it is told once";
        break;
      case Event::kLastSent:
        outbox.SetLastSent();
        break;
      case Event::kLose:
        EXPECT_TRUE(outbox.Unbind());
        break;
      case Event::kRoom:
        woken = outbox.SignalRoom();
        break;
      case Event::kEnd:
        woken = outbox.End();
        break;
    }
    EXPECT_FALSE(woken);
    EXPECT_EQ(outbox.state(), step.then);
    StreamOutbox::Transport to;
    bool keeps;
    EXPECT_EQ(outbox.CheckWritable(&to, &keeps), step.write);
  }
}

}  // namespace
}  // namespace weft::test
