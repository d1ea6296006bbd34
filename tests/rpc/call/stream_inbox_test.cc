// The receiving half of a stream: its states, its reader, and the memory of messages that wait.
#include "weft/rpc/call/stream_inbox.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/drawn_states.h"

namespace weft::test {

using namespace internal;

namespace {

using State = StreamInbox::State;
using Beginning = StreamInbox::Beginning;

constexpr char kHeader[] = "rpc/call/stream_inbox.h";

TEST(StreamInbox, GoesFromStateToStateAsItsHeaderDraws) {
  const std::vector<std::string> states{"kOpen", "kClosed", "kDropped"};
  const Transitions drawn = DrawnIn(kHeader, states);
  // A drawing that is not found would be empty.
  EXPECT_EQ(drawn.size(), 3u);
  EXPECT_EQ(drawn, Allowed<State>(states, StreamInbox::MayGo));
  const std::vector<std::string> beginnings{"kUnknown", "kThere", "kNone"};
  EXPECT_EQ(DrawnIn(kHeader, beginnings), Allowed<Beginning>(beginnings, StreamInbox::MayGo));
}

class StreamInboxTest : public testing::Test {
 protected:
  static constexpr size_t kCost = 10;

  // In a block of its own.
  static ReceivedMessage MessageOf(size_t size) {
    BlockRef block = BlockRef::New(size + 1);
    // The first byte tells the messages apart; the rest is not looked at.
    block->data()[0] = static_cast<char>(size);
    const char* const data = block->data();
    return {std::move(block), data, size};
  }
  void Wait() {
    StreamWake wake = [this] { ++woken; };
    EXPECT_TRUE(inbox.WaitForMessages(wake));
  }
  void WaitForBeginning() {
    StreamWake wake = [this] { ++begun; };
    EXPECT_TRUE(inbox.WaitForBeginning(wake));
  }
  static void Call(StreamWake wake) { CallIfSet(wake); }

  StreamInbox inbox;
  ReadBatch batch;
  int woken = 0;
  int begun = 0;
};

TEST_F(StreamInboxTest, GivesAllThatCameInOneBatch) {
  Call(inbox.Add(MessageOf(1), kCost));
  Call(inbox.Add(MessageOf(2), kCost));
  ASSERT_EQ(inbox.Take(&batch), StreamRead::kMessage);
  EXPECT_EQ(batch.Take().message.size, 1u);
  EXPECT_EQ(batch.Take().message.size, 2u);
  EXPECT_TRUE(batch.empty());
  // Open and empty: more may come.
  EXPECT_EQ(inbox.Take(&batch), StreamRead::kNothingYet);
}

TEST_F(StreamInboxTest, WakesItsReaderOnce) {
  Wait();
  Call(inbox.Add(MessageOf(1), kCost));
  EXPECT_EQ(woken, 1);
  Call(inbox.Add(MessageOf(2), kCost));
  // The reader has not waited again since.
  EXPECT_EQ(woken, 1);
  StreamWake unused = [] {};
  EXPECT_FALSE(inbox.WaitForMessages(unused));
  EXPECT_TRUE(unused) << "was taken though nobody need wait";
}

TEST_F(StreamInboxTest, CopiesSmallMessagesTogetherAndKeepsLargeOnesWhereTheyCame) {
  // The smallest message that is not copied.
  ReceivedMessage large = MessageOf(StreamInbox::kCopyBelow);
  const char* const at = large.data;
  Call(inbox.Add(MessageOf(5), kCost));
  Call(inbox.Add(MessageOf(7), kCost));
  Call(inbox.Add(std::move(large), kCost));
  ASSERT_EQ(inbox.Take(&batch), StreamRead::kMessage);
  const StreamItem first = batch.Take();
  const StreamItem second = batch.Take();
  // Side by side in one chunk: neither keeps the block that it came in.
  EXPECT_EQ(first.message.data + 5, second.message.data);
  EXPECT_EQ(*first.message.data, 5);
  EXPECT_EQ(*second.message.data, 7);
  EXPECT_EQ(batch.Take().message.data, at);
}

TEST_F(StreamInboxTest, DropSaysWhatItCosts) {
  Call(inbox.Add(MessageOf(1), kCost));
  Call(inbox.Add(MessageOf(2), kCost));
  std::vector<StreamItem> dropped;
  EXPECT_EQ(inbox.Drop(&dropped), 2 * kCost);
  EXPECT_EQ(dropped.size(), 2u);
  // The cost goes back once.
  EXPECT_EQ(inbox.Drop(&dropped), 0u);
}

TEST_F(StreamInboxTest, KeepsToWhatItFirstKnewOfInitialMetadata) {
  WaitForBeginning();
  Call(inbox.SetNoInitialMetadata());
  EXPECT_EQ(begun, 1);
  EXPECT_EQ(inbox.beginning(), Beginning::kNone);
  // Metadata behind the first message comes too late: the reader knows that there is none.
  Call(inbox.SetInitialMetadata());
  EXPECT_EQ(inbox.beginning(), Beginning::kNone);
  StreamWake unused = [] {};
  EXPECT_FALSE(inbox.WaitForBeginning(unused));
}

TEST_F(StreamInboxTest, KnowsOfInitialMetadataThatCame) {
  WaitForBeginning();
  Call(inbox.SetInitialMetadata());
  Call(inbox.SetNoInitialMetadata());
  EXPECT_EQ(begun, 1);
  EXPECT_EQ(inbox.beginning(), Beginning::kThere);
}

// Each state, and what comes upon it.
enum class Event { kMessage, kClose, kDrop };

struct Step {
  State state;
  Event event;
  State then;
  StreamRead read;  // what a reader finds
};

TEST(StreamInboxStates, EachMeetsEachEvent) {
  constexpr Step kSteps[] = {
      {State::kOpen, Event::kMessage, State::kOpen, StreamRead::kMessage},
      {State::kOpen, Event::kClose, State::kClosed, StreamRead::kEnd},
      {State::kOpen, Event::kDrop, State::kDropped, StreamRead::kEnd},
      {State::kClosed, Event::kMessage, State::kClosed, StreamRead::kMessage},
      {State::kClosed, Event::kClose, State::kClosed, StreamRead::kEnd},
      {State::kClosed, Event::kDrop, State::kDropped, StreamRead::kEnd},
      // A message in kDropped has no row: its bringer must not add it.
      {State::kDropped, Event::kClose, State::kDropped, StreamRead::kEnd},
      {State::kDropped, Event::kDrop, State::kDropped, StreamRead::kEnd},
  };
  for (const Step& step : kSteps) {
    SCOPED_TRACE(testing::Message() << "state " << static_cast<int>(step.state) << ", event "
                                    << static_cast<int>(step.event));
    StreamInbox inbox;
    std::vector<StreamItem> dropped;
    StreamWake woken;
    if (step.state == State::kClosed) woken = inbox.Close();
    if (step.state == State::kDropped) {
      EXPECT_EQ(inbox.Drop(&dropped), 0u);
    }
    switch (step.event) {
      case Event::kMessage:
        woken = inbox.Add({}, 1);
        break;
      case Event::kClose:
        woken = inbox.Close();
        break;
      case Event::kDrop:
        EXPECT_EQ(inbox.Drop(&dropped), 0u);
        break;
    }
    EXPECT_FALSE(woken);
    EXPECT_EQ(inbox.state(), step.then);
    ReadBatch batch;
    EXPECT_EQ(inbox.Take(&batch), step.read);
  }
}

}  // namespace
}  // namespace weft::test
