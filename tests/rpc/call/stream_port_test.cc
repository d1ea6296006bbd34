// One side's end of a stream, over carriers that the test plays: the credit that goes back, what is
// sent again to the next carrier, and each state against each event.
#include "weft/rpc/call/stream_port.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/protos/rows.pb.h"

namespace weft::test {

using namespace internal;

namespace {

// Counts the credit that comes back, and takes everything else.
class CountingCarrier final : public StreamTransport {
 public:
  bool HasRoom(StreamPort&) override { return true; }
  StreamSent SendMessage(StreamPort&, const StreamMessage&, bool, bool, absl::Status*) override {
    return StreamSent::kSent;
  }
  void SendHalfClose(StreamPort&) override {}
  void ReturnCredit(StreamPort& port, size_t bytes) override {
    returned += bytes;
    if (!port.ended()) returned_to_stream += bytes;
  }

  size_t returned = 0;
  size_t returned_to_stream = 0;  // while it was open
};

class StreamPortReading : public testing::Test {
 protected:
  static constexpr size_t kCost = 100;

  StreamPortReading() { port->Bind(carrier, {1 << 20, "channel"}); }
  void Deliver(int64_t number) {
    Row row;
    row.set_number(number);
    const std::string bytes = row.SerializeAsString();
    BlockRef block = BlockRef::New(bytes.size());
    bytes.copy(block->data(), bytes.size());
    const char* const data = block->data();
    port->Deliver({std::move(block), data, bytes.size()}, kCost);
  }
  // The next message's number.
  std::optional<int64_t> Read() {
    Row row;
    if (port->TryRead(&row) != StreamRead::kMessage) return std::nullopt;
    return row.number();
  }

  std::shared_ptr<CountingCarrier> carrier = std::make_shared<CountingCarrier>();
  std::shared_ptr<StreamPort> port = std::make_shared<StreamPort>();
};

TEST_F(StreamPortReading, GivesBackWhatWasReadAndNothingElse) {
  for (int64_t i = 0; i < 3; ++i) Deliver(i);
  EXPECT_EQ(Read(), 0);
  EXPECT_EQ(carrier->returned, kCost);
  EXPECT_EQ(Read(), 1);
  Deliver(3);
  EXPECT_EQ(Read(), 2);
  EXPECT_EQ(Read(), 3);
  EXPECT_EQ(carrier->returned, 4 * kCost);
  EXPECT_EQ(Read(), std::nullopt);
}

TEST_F(StreamPortReading, EndGivesBackWhatTheReaderHadTakenAndNotRead) {
  for (int64_t i = 0; i < 3; ++i) Deliver(i);
  EXPECT_EQ(Read(), 0);  // it has taken all three
  Deliver(3);
  // Three are in the reader's own hands, the fourth still in the port's inbox: credit of both goes
  // back.
  port->EndStream(/*drop=*/true);
  EXPECT_EQ(carrier->returned, 4 * kCost);
}

TEST_F(StreamPortReading, WhatIsReadAfterTheEndIsGivenBackOnce) {
  for (int64_t i = 0; i < 3; ++i) Deliver(i);
  EXPECT_EQ(Read(), 0);
  port->EndStream(/*drop=*/true);
  while (Read().has_value()) {
  }
  EXPECT_EQ(carrier->returned, 3 * kCost);
}

TEST_F(StreamPortReading, EndThatDropsNothingLeavesAllToBeRead) {
  for (int64_t i = 0; i < 3; ++i) Deliver(i);
  EXPECT_EQ(Read(), 0);
  Deliver(3);
  // The call has ended with a reply: messages that came before may still be read.
  port->EndStream(/*drop=*/false);
  for (int64_t i = 1; i < 4; ++i) EXPECT_EQ(Read(), i);
  EXPECT_EQ(Read(), std::nullopt);
  EXPECT_EQ(carrier->returned, 4 * kCost);
}

TEST_F(StreamPortReading, ThatStopsGivesTheStreamItsCreditBack) {
  for (int64_t i = 0; i < 3; ++i) Deliver(i);
  EXPECT_EQ(Read(), 0);
  Deliver(3);
  port->StopReading();
  EXPECT_EQ(carrier->returned_to_stream, 4 * kCost);
  Deliver(4);
  EXPECT_EQ(carrier->returned_to_stream, 5 * kCost);
  // The stream goes on: only its reader has stopped, and the peer must be able to send to its end.
  EXPECT_FALSE(port->ended());
}

TEST_F(StreamPortReading, ThatStopsTellsAReaderWhoWaits) {
  bool told = false;
  ASSERT_TRUE(port->Wait(StreamPort::For::kMessages, [&] { told = true; }));
  port->StopReading();
  EXPECT_TRUE(told);
  EXPECT_FALSE(port->Wait(StreamPort::For::kMessages, [] {}));
  Row row;
  EXPECT_EQ(port->TryRead(&row), StreamRead::kEnd);
}

// Takes messages as it is told to, and says what it was sent.
class ScriptedCarrier final : public StreamTransport {
 public:
  bool HasRoom(StreamPort&) override { return room > 0; }
  StreamSent SendMessage(StreamPort&, const StreamMessage& message, bool last, bool,
                         absl::Status*) override {
    // Runs what a test lets happen on another thread just then; once, since it comes here again.
    if (inside) std::exchange(inside, nullptr)();
    if (gone) return StreamSent::kEnded;
    if (room == 0) return StreamSent::kBlocked;
    --room;
    Row row;
    if (message.message != nullptr) {
      row = static_cast<const Row&>(*message.message);
    } else {
      EXPECT_TRUE(row.ParseFromArray(message.bytes.data(), static_cast<int>(message.bytes.size())));
    }
    sent.push_back(row.number());
    if (last) sent.push_back(-1);
    return StreamSent::kSent;
  }
  void SendHalfClose(StreamPort&) override {
    if (!gone) sent.push_back(-1);
  }
  void ReturnCredit(StreamPort&, size_t bytes) override { returned += bytes; }

  size_t returned = 0;
  bool gone = false;
  int room = 100;
  std::function<void()> inside;  // while a message is being sent
  std::vector<int64_t> sent;     // -1: the end
};

// A port whose interceptors look at messages.
class WatchedPort final : public StreamPort {
 public:
  bool WantsMessages() const override { return true; }
  absl::Status OnStreamMessage(bool, size_t bytes) override {
    seen.push_back(bytes);
    return absl::OkStatus();
  }
  std::vector<size_t> seen;
};

TEST(StreamPortWatched, ShowsAMessageOnceHoweverOftenItHadNoRoom) {
  const auto carrier = std::make_shared<ScriptedCarrier>();
  const auto port = std::make_shared<WatchedPort>();
  port->Bind(carrier, {1 << 20, "channel"});
  Row row;
  row.set_number(1);
  // The interceptor must not see the message before there is room for it.
  carrier->room = 0;
  EXPECT_EQ(port->TryWrite(row, false), StreamSent::kBlocked);
  EXPECT_EQ(port->TryWrite(row, false), StreamSent::kBlocked);
  carrier->room = 1;
  EXPECT_EQ(port->TryWrite(row, false), StreamSent::kSent);
  EXPECT_EQ(port->seen, std::vector<size_t>{row.ByteSizeLong()});
}

// A caller's stream whose call may go to another server.
class StreamPortSendingAgain : public testing::Test {
 protected:
  using Numbers = std::vector<int64_t>;

  StreamPortSendingAgain() {
    port->KeepSent();
    Bind(first);
  }
  void Bind(const std::shared_ptr<ScriptedCarrier>& carrier) {
    port->Bind(carrier, {1 << 20, "channel"});
    port->Opened(*carrier);
  }
  void Lose() {
    first->gone = true;
    EXPECT_TRUE(port->Unbind());
  }
  StreamSent Write(int64_t number, bool last = false, size_t bytes = 0) {
    Row row;
    row.set_number(number);
    row.set_data(std::string(bytes, 'd'));
    return port->TryWrite(row, last);
  }

  // As a writer does who was told that there is none.
  void AwaitRoom() {
    told = false;
    while (!port->Wait(StreamPort::For::kRoom, [this] { told = true; })) {
    }
  }

  bool told = false;
  std::shared_ptr<ScriptedCarrier> first = std::make_shared<ScriptedCarrier>();
  std::shared_ptr<ScriptedCarrier> second = std::make_shared<ScriptedCarrier>();
  std::shared_ptr<StreamPort> port = std::make_shared<StreamPort>();
};

TEST_F(StreamPortSendingAgain, WritesToTheNextCarrierWhatItWroteToTheFirst) {
  EXPECT_EQ(Write(1), StreamSent::kSent);
  EXPECT_EQ(Write(2), StreamSent::kSent);
  first->gone = true;
  EXPECT_EQ(Write(3), StreamSent::kBlocked) << "the call may go on elsewhere";
  AwaitRoom();
  Lose();
  EXPECT_FALSE(port->HasRoom());
  EXPECT_EQ(Write(3), StreamSent::kBlocked);
  EXPECT_FALSE(told);
  Bind(second);
  EXPECT_TRUE(told);
  EXPECT_EQ(second->sent, (Numbers{1, 2}));
  EXPECT_EQ(Write(3, /*last=*/true), StreamSent::kSent);
  EXPECT_EQ(second->sent, (Numbers{1, 2, 3, -1}));
  EXPECT_EQ(first->sent, (Numbers{1, 2}));
}

TEST_F(StreamPortSendingAgain, EndsItsSideBehindWhatGoesAgain) {
  EXPECT_EQ(Write(1), StreamSent::kSent);
  port->HalfClose();
  EXPECT_EQ(first->sent, (Numbers{1, -1}));
  Lose();
  Bind(second);
  EXPECT_EQ(second->sent, (Numbers{1, -1}));
}

TEST_F(StreamPortSendingAgain, EndsItsSideOnceWhenThatComesBetweenCarriers) {
  EXPECT_EQ(Write(1), StreamSent::kSent);
  Lose();
  port->HalfClose();
  EXPECT_EQ(Write(2), StreamSent::kEnded);
  Bind(second);
  EXPECT_EQ(second->sent, (Numbers{1, -1}));
}

TEST_F(StreamPortSendingAgain, GoesOnWhenThereIsRoomAndWakesItsWriterThen) {
  for (int64_t i = 1; i <= 3; ++i) EXPECT_EQ(Write(i), StreamSent::kSent);
  Lose();
  AwaitRoom();
  second->room = 2;
  Bind(second);
  EXPECT_EQ(second->sent, (Numbers{1, 2}));
  EXPECT_FALSE(told);
  // There is something to send again, which goes before a new message.
  EXPECT_EQ(Write(4), StreamSent::kBlocked);
  second->room = 1;
  port->OnRoom();
  EXPECT_EQ(second->sent, (Numbers{1, 2, 3}));
  EXPECT_TRUE(told);
}

TEST_F(StreamPortSendingAgain, WhatWasBeingWrittenWhenTheCarrierWentGoesOnce) {
  EXPECT_EQ(Write(1), StreamSent::kSent);
  // The call goes to the next carrier while its writer is on the way to the first one.
  first->inside = [&] {
    Lose();
    Bind(second);
  };
  EXPECT_EQ(Write(2), StreamSent::kSent);
  EXPECT_EQ(second->sent, (Numbers{1, 2}));
  EXPECT_EQ(Write(3), StreamSent::kSent);
  EXPECT_EQ(second->sent, (Numbers{1, 2, 3}));
  // The send that had begun found its carrier gone.
  EXPECT_EQ(first->sent, Numbers{1});
}

TEST_F(StreamPortSendingAgain, WhatHadNoRoomIsNotKept) {
  // The second message finds no room, and its writer is told so: the writer has it still.
  first->room = 1;
  EXPECT_EQ(Write(1), StreamSent::kSent);
  EXPECT_EQ(Write(2), StreamSent::kBlocked);
  Lose();
  Bind(second);
  EXPECT_EQ(second->sent, Numbers{1});
}

TEST_F(StreamPortSendingAgain, LosesACarrierWhileItSendsAgain) {
  for (int64_t i = 1; i <= 2; ++i) EXPECT_EQ(Write(i), StreamSent::kSent);
  Lose();
  const auto third = std::make_shared<ScriptedCarrier>();
  second->inside = [&] {
    second->gone = true;
    EXPECT_TRUE(port->Unbind());
    Bind(third);
  };
  Bind(second);
  // The port left this carrier while it was sending there, so nothing counts as sent by it.
  EXPECT_TRUE(second->sent.empty());
  EXPECT_EQ(third->sent, (Numbers{1, 2}));
  EXPECT_EQ(Write(3), StreamSent::kSent);
  EXPECT_EQ(third->sent, (Numbers{1, 2, 3}));
}

TEST_F(StreamPortSendingAgain, OpeningThatComesLateDoesNothing) {
  EXPECT_EQ(Write(1), StreamSent::kSent);
  Lose();
  // The first carrier's thread is late: its call has gone to the second one meanwhile.
  port->Opened(*first);
  port->Bind(second, {1 << 20, "channel"});
  port->Opened(*first);
  EXPECT_TRUE(second->sent.empty());
  port->Opened(*second);
  EXPECT_EQ(second->sent, Numbers{1});
}

TEST_F(StreamPortSendingAgain, StaysWhereAServerHasTakenIt) {
  EXPECT_EQ(Write(1), StreamSent::kSent);
  port->OnTaken();
  EXPECT_FALSE(port->Unbind());
  EXPECT_EQ(Write(2), StreamSent::kSent);
  first->gone = true;
  EXPECT_EQ(Write(3), StreamSent::kEnded);
}

TEST_F(StreamPortSendingAgain, StaysWhereItHasBeenSentTooMuch) {
  EXPECT_EQ(Write(1), StreamSent::kSent);
  EXPECT_EQ(Write(2, false, SentMessages::kMax), StreamSent::kSent);
  EXPECT_FALSE(port->Unbind());
  EXPECT_EQ(Write(3), StreamSent::kSent);
  EXPECT_EQ(first->sent, (Numbers{1, 2, 3}));
}

// A caller's stream that may go to another server, in every state, and all that may happen to it
// then.
class StreamPortWalked : public StreamPortSendingAgain {
 protected:
  static constexpr size_t kCost = 10;

  void Message() {
    port->OnTaken();
    ReceivedMessage message;
    message.block = BlockRef::New(1);
    message.data = message.block->data();
    port->Deliver(std::move(message), kCost);
    delivered += kCost;
  }
  void PeersHalfClose() {
    port->OnTaken();
    port->OnHalfClose();
  }
  void StartSendingAgain() {
    Lose();
    // Opened without room, the second carrier leaves the port in the middle of sending again.
    second->room = 0;
    Bind(second);
  }

  bool Happens(std::string_view event) {
    if (event == "message") Message();
    if (event == "peer's half-close") PeersHalfClose();
    if (event == "cancel") port->Fail(absl::CancelledError());
    if (event == "holder's end") port->EndStream(/*drop=*/true);
    if (event == "reply" || event == "deadline" || event == "close")
      port->EndStream(/*drop=*/false);
    if (event == "goaway") return port->Unbind();
    if (event == "half-close") port->HalfClose();
    return true;
  }
  static bool Ends(std::string_view event) {
    return event == "cancel" || event == "holder's end" || event == "reply" ||
           event == "deadline" || event == "close";
  }

  // Returns what a writer, a reader and a server's going-away find then: "sent read moves", say.
  std::string Found() {
    const StreamSent write = Write(99);
    std::string found = write == StreamSent::kSent      ? "sent "
                        : write == StreamSent::kBlocked ? "blocked "
                                                        : "ended ";
    Row row;
    StreamRead read = port->TryRead(&row);
    found += read == StreamRead::kMessage ? "read "
             : read == StreamRead::kEnd   ? "end "
                                          : "nothing ";
    while (read == StreamRead::kMessage) read = port->TryRead(&row);
    return found + (port->Unbind() ? "moves" : "stays");
  }

  size_t delivered = 0;
  int woken = 0;
};

struct Walk {
  const char* state;
  const char* message;  // empty: cannot happen then
  const char* peers_half_close;
  const char* dropping_end;  // the caller cancels, or drops the stream
  const char* end;           // the reply, the deadline, the connection's end
  const char* goaway;
  const char* half_close;
};

constexpr Walk kWalks[] = {
    {"unsent", "", "", "ended end moves", "ended end moves", "blocked nothing moves",
     "ended nothing moves"},
    {"open", "sent read stays", "sent end stays", "ended end moves", "ended end moves",
     "blocked nothing moves", "ended nothing moves"},
    {"half-closed", "ended read stays", "ended end stays", "ended end moves", "ended end moves",
     "ended nothing moves", "ended nothing moves"},
    {"last sent", "ended read stays", "ended end stays", "ended end moves", "ended end moves",
     "ended nothing moves", "ended nothing moves"},
    {"lost", "", "", "ended end moves", "ended end moves", "blocked nothing moves",
     "ended nothing moves"},
    {"sending again", "blocked read stays", "blocked end stays", "ended end moves",
     "ended end moves", "blocked nothing moves", "ended nothing moves"},
    {"unread", "sent read stays", "sent read stays", "ended end stays", "ended read stays",
     "sent read stays", "ended read stays"},
    {"peer ended", "", "sent end stays", "ended end stays", "ended end stays", "sent end stays",
     "ended end stays"},
    {"not read any more", "sent end stays", "sent end stays", "ended end moves", "ended end moves",
     "blocked end moves", "ended end moves"},
    {"ended", "", "", "ended end moves", "ended end moves", "ended end moves", "ended end moves"},
};

TEST(StreamPortStates, EachMeetsEachEvent) {
  class Walked final : public StreamPortWalked {
   public:
    void TestBody() override {}
    void Go(const Walk& walk, std::string_view event, std::string_view expected) {
      const std::string_view state = walk.state;
      if (state == "unsent") {
        port = std::make_shared<StreamPort>();
        port->KeepSent();
      } else {
        EXPECT_EQ(Write(1, /*last=*/state == "last sent"), StreamSent::kSent);
      }
      if (state == "half-closed") port->HalfClose();
      if (state == "lost") Lose();
      if (state == "sending again") StartSendingAgain();
      if (state == "unread") Message();
      if (state == "peer ended") PeersHalfClose();
      if (state == "not read any more") port->StopReading();
      if (state == "ended") port->EndStream(/*drop=*/false);
      for (const auto what : {StreamPort::For::kMessages, StreamPort::For::kInitialMetadata}) {
        (void)port->Wait(what, [this] { ++woken; });
      }
      // Room may have been signalled before; the first wait uses that up, and the second one waits.
      if (!port->Wait(StreamPort::For::kRoom, [this] { ++woken; })) {
        (void)port->Wait(StreamPort::For::kRoom, [this] { ++woken; });
      }
      // A server that has answered anything has taken the call, which then stays with it.
      const bool stays = state == "unread" || state == "peer ended";
      EXPECT_EQ(Happens(event), event != "goaway" || !stays);
      if (Ends(event)) {
        EXPECT_TRUE(port->ended());
        for (const auto what : {StreamPort::For::kMessages, StreamPort::For::kRoom,
                                StreamPort::For::kInitialMetadata}) {
          EXPECT_FALSE(port->StopWaiting(what)) << "somebody waits for ever";
        }
      }
      EXPECT_EQ(Found(), expected);
      EXPECT_EQ(first->returned + second->returned, delivered) << "credit is given back once";
    }
  };
  for (const Walk& walk : kWalks) {
    const std::pair<const char*, const char*> events[] = {
        {"message", walk.message},
        {"peer's half-close", walk.peers_half_close},
        {"cancel", walk.dropping_end},
        {"holder's end", walk.dropping_end},
        {"reply", walk.end},
        {"deadline", walk.end},
        {"close", walk.end},
        {"goaway", walk.goaway},
        {"half-close", walk.half_close},
    };
    for (const auto& [event, expected] : events) {
      SCOPED_TRACE(testing::Message() << walk.state << ", " << event);
      // A port of its own for each pair of state and event.
      if (*expected != '\0') Walked().Go(walk, event, expected);
    }
  }
}

}  // namespace
}  // namespace weft::test
