// Calls whose client streams, and that no server has taken: they go to the next connection with
// everything that was written, and their writer notices nothing.
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/cord.h"
#include "tests/protos/rows.weft.h"
#include "tests/rpc/protocol/native/held_echo.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "tests/support/watched.h"
#include "weft/core/coro.h"
#include "weft/rpc/call/sent_messages.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/protocol/native/handshake.h"

namespace weft::test {

using namespace internal;

namespace {

using absl::StatusCode;
using native::FrameType;
using ::testing::HasSubstr;

Row RowOf(int64_t number, size_t bytes = 0) {
  Row row;
  row.set_number(number);
  row.set_data(std::string(bytes, static_cast<char>('a' + number)));
  return row;
}

// The part of one stream that a server was sent.
struct Streamed {
  std::vector<std::string> messages;
  bool compressed = false;
  bool ended = false;
};

// A server that speaks byte by byte.
class StreamServer {
 public:
  explicit StreamServer(RawPeer peer) : peer_(std::move(peer)) {}

  // Waits for the request that opens the stream.
  void ReadRequest() {
    const std::optional<RawFrame> request = peer_.ReadFrame(FrameType::kRequest);
    ASSERT_TRUE(request.has_value()) << "no request";
    id_ = request->header.id;
    request_ = request->body;
  }
  // Waits for so many messages, and the end where there is to be one.
  Streamed Read(size_t messages, bool end) {
    while (streamed_.messages.size() < messages || unfinished_ > 0 || (end && !streamed_.ended)) {
      const std::optional<RawFrame> frame = peer_.ReadFrame();
      if (!frame.has_value()) {
        ADD_FAILURE() << "the connection has ended after " << streamed_.messages.size();
        break;
      }
      if (frame->header.id == id_) Take(*frame);
    }
    return streamed_;
  }
  void Send(std::string_view bytes) { peer_.Send(bytes); }
  RawPeer& peer() { return peer_; }
  uint64_t id() const { return id_; }
  const std::string& request() const { return request_; }

 private:
  void Take(const RawFrame& frame) {
    const native::FrameHeader& header = frame.header;
    if (header.type == FrameType::kData) {
      streamed_.messages.back() += frame.body;
      unfinished_ -= frame.body.size();
      return;
    }
    if (header.type != FrameType::kMessage) return;
    EXPECT_FALSE(streamed_.ended) << "a message behind the end";
    streamed_.ended |= header.has(native::kEnd);
    if (header.has(native::kNoMessage)) return;
    streamed_.compressed |= header.has(native::kCompressed);
    std::string_view bytes = frame.body;
    // The attachment's size, which stands before the whole size.
    if (header.has(native::kAttachment)) bytes.remove_prefix(4);
    if (header.has(native::kMore)) {
      unfinished_ = internal::LoadWire<uint32_t>(bytes.data());
      bytes.remove_prefix(4);
      unfinished_ -= bytes.size();
    }
    streamed_.messages.emplace_back(bytes);
  }

  RawPeer peer_;
  uint64_t id_ = 0;
  std::string request_;
  Streamed streamed_;
  size_t unfinished_ = 0;
};

// A channel whose stream no server has taken yet, so it is sent again over the next connection; the
// test plays the servers.
class StreamSentAgain : public ::testing::Test {
 protected:
  StreamSentAgain() {
    options_.runtime = QuietRuntime();
    options_.limits.heartbeat_interval = absl::ZeroDuration();
    options_.backoff = absl::Milliseconds(1);
    options_.max_backoff = absl::Milliseconds(1);
    channel_ = *Channel::Create(listener_.address(), options_);
    stub_ = std::make_unique<Rows::Stub>(*channel_);
  }
  // A connection, and the request that opens the stream on it.
  StreamServer AcceptStream(uint32_t window = 1 << 20) {
    RawPeer peer = listener_.Accept();
    EXPECT_EQ(peer.Read(8), raw::Preface());
    EXPECT_EQ(peer.ReadFrame()->header.type, FrameType::kHello);
    peer.Send(raw::Opening({.max_message = 4 << 20,
                            .features = features_,
                            .stream_window = window,
                            .connection_window = 1 << 20}));
    StreamServer server(std::move(peer));
    server.ReadRequest();
    return server;
  }
  static std::string Sum(int64_t rows) {
    RowSum sum;
    sum.set_rows(rows);
    return sum.SerializeAsString();
  }

  // Streams, and nothing else.
  uint64_t features_ = 0x01;
  RawListener listener_;
  ChannelOptions options_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<Rows::Stub> stub_;
  ClientContext context_;
};

TEST_F(StreamSentAgain, WithWhatWasWrittenAndWhatIsWrittenThen) {
  ASSERT_TRUE(context_.metadata().Add("tenant", "blue").ok());
  ClientWriter<Row, RowSum> adding = stub_->Add({.context = &context_});
  StreamServer first = AcceptStream();
  ASSERT_TRUE(adding.Write(RowOf(1)));
  ASSERT_TRUE(adding.Write(RowOf(2)));
  EXPECT_EQ(first.Read(2, false).messages.size(), 2u);
  first.Send(raw::GoAway(0, "bye"));
  StreamServer second = AcceptStream();
  EXPECT_THAT(second.request(), HasSubstr("blue"));
  ASSERT_TRUE(adding.Write(RowOf(3)));
  // Finish blocks until the reply has come.
  std::thread answers([&] {
    const Streamed streamed = second.Read(3, true);
    EXPECT_EQ(streamed.messages,
              (std::vector<std::string>{RowOf(1).SerializeAsString(), RowOf(2).SerializeAsString(),
                                        RowOf(3).SerializeAsString()}));
    second.Send(raw::Reply(second.id(), Sum(3)));
  });
  const absl::StatusOr<RowSum> sum = adding.Finish();
  answers.join();
  ASSERT_TRUE(sum.ok()) << sum.status();
  EXPECT_EQ(sum->rows(), 3);
  EXPECT_EQ(context_.attempts(), 2);
  EXPECT_EQ(channel_->counts().resent, 1);
}

TEST_F(StreamSentAgain, WhenItsClientHasEndedItsSide) {
  ClientWriter<Row, RowSum> adding = stub_->Add({.context = &context_});
  StreamServer first = AcceptStream();
  ASSERT_TRUE(adding.Write(RowOf(1)));
  Watched<std::optional<absl::StatusOr<RowSum>>> result;
  adding.FinishAsync([&](absl::StatusOr<RowSum> sum) { result.Set(std::move(sum)); });
  EXPECT_TRUE(first.Read(1, true).ended);
  // UNAVAILABLE, and certainly not executed.
  first.Send(raw::Error(first.id(), 14, "stopping", /*not_executed=*/true));
  first.ReadRequest();  // the server lives: it is the next one, too
  StreamServer* const second = &first;
  EXPECT_EQ(second->id(), 2u);
  // The message and the end of the stream.
  for (int i = 0; i < 2; ++i)
    ASSERT_TRUE(second->peer().ReadFrame(FrameType::kMessage).has_value());
  second->Send(raw::Reply(second->id(), Sum(1)));
  ASSERT_TRUE(result.WaitFor([](const auto& r) { return r.has_value(); }));
  EXPECT_TRUE((*result.Get()).ok()) << (*result.Get()).status();
  EXPECT_EQ(context_.attempts(), 2);
}

TEST_F(StreamSentAgain, InBothDirectionsByACoroutine) {
  const auto talk = [](Rows::Stub& stub, ClientContext* context) -> Coro<absl::Status> {
    ClientStream<Row, Row> stream = stub.Talk({.context = context});
    for (int64_t i = 1; i <= 3; ++i) {
      const Row row = RowOf(i);
      if (!co_await stream.WriteCoro(row)) break;
    }
    stream.HalfClose();
    Row row;
    int64_t rows = 0;
    for (;;) {
      const bool more = co_await stream.ReadCoro(&row);
      if (!more) break;
      ++rows;
    }
    EXPECT_EQ(rows, 1);
    co_return co_await stream.FinishCoro();
  };
  Watched<std::optional<absl::Status>> end;
  Spawn(talk(*stub_, &context_), [&](std::optional<absl::Status> status, std::exception_ptr) {
    end.Set(std::move(status));
  });
  StreamServer first = AcceptStream();
  // The coroutine may have written any number of its rows by now.
  first.Send(raw::GoAway(0, "bye"));
  StreamServer second = AcceptStream();
  EXPECT_EQ(second.Read(3, true).messages.size(), 3u);
  second.Send(raw::Message(second.id(), true, RowOf(9).SerializeAsString()) +
              raw::Reply(second.id(), ""));
  ASSERT_TRUE(end.WaitFor([](const auto& s) { return s.has_value(); }));
  EXPECT_EQ(*end.Get(), absl::OkStatus());
}

TEST_F(StreamSentAgain, ByAWriterWhoWaitsForCredit) {
  Watched<int> written{0};
  ClientWriter<Row, RowSum> adding = stub_->Add({.context = &context_});
  std::thread writer([&] {
    for (int64_t i = 0; i < 6; ++i) {
      EXPECT_TRUE(adding.Write(RowOf(i, 1000)));
      written.Update([](int& n) { ++n; });
    }
  });
  // Each message costs its 1,000 bytes and some more: the third still begins within 3,000, the
  // fourth does not.
  StreamServer first = AcceptStream(/*window=*/3000);
  EXPECT_EQ(first.Read(3, false).messages.size(), 3u);
  EXPECT_TRUE(written.WaitFor([](int n) { return n == 3; }));
  first.Send(raw::GoAway(0, "bye"));
  StreamServer second = AcceptStream(/*window=*/1000);  // what goes again waits for credit, too
  EXPECT_EQ(second.Read(1, false).messages.size(), 1u);
  // The first message has used up a little more than 1,000: this is credit for one more.
  second.Send(raw::Window(second.id(), true, 1000));
  EXPECT_EQ(second.Read(2, false).messages.size(), 2u);
  second.Send(raw::Window(second.id(), true, 100'000));
  const Streamed streamed = second.Read(6, false);
  for (int64_t i = 0; i < 6; ++i) {
    EXPECT_EQ(streamed.messages.at(static_cast<size_t>(i)), RowOf(i, 1000).SerializeAsString());
  }
  writer.join();
  std::thread answers([&] {
    EXPECT_TRUE(second.Read(6, true).ended);
    second.Send(raw::Reply(second.id(), Sum(6)));
  });
  EXPECT_TRUE(adding.Finish().ok());
  answers.join();
}

TEST_F(StreamSentAgain, LargeMessagesInPieces) {
  ClientWriter<Row, RowSum> adding = stub_->Add({.context = &context_});
  StreamServer first = AcceptStream();
  // The message takes two frames, and its end is not the end of the stream.
  ASSERT_TRUE(adding.Write(RowOf(1, 100'000)));
  ASSERT_TRUE(adding.Write(RowOf(2, 10)));
  ASSERT_TRUE(adding.Write(RowOf(3, 50'000)));
  EXPECT_EQ(first.Read(3, false).messages.size(), 3u);
  first.Send(raw::GoAway(0, "bye"));
  StreamServer second = AcceptStream();
  EXPECT_EQ(second.Read(3, false).messages,
            (std::vector<std::string>{RowOf(1, 100'000).SerializeAsString(),
                                      RowOf(2, 10).SerializeAsString(),
                                      RowOf(3, 50'000).SerializeAsString()}));
  second.Send(raw::Reply(second.id(), Sum(3)));
  EXPECT_TRUE(adding.Finish().ok());
}

TEST_F(StreamSentAgain, WithAttachments) {
  // Attachments beside the messages of streams.
  features_ |= 0x20;
  ClientWriter<Row, RowSum> adding = stub_->Add({.context = &context_});
  StreamServer first = AcceptStream();
  const std::string bytes(70'000, 'b');
  ASSERT_TRUE(adding.Write(RowOf(1), absl::Cord(bytes)));
  ASSERT_TRUE(adding.Write(RowOf(2)));
  ASSERT_TRUE(adding.Write(RowOf(3), absl::Cord("small")));
  const Streamed before = first.Read(3, false);
  EXPECT_EQ(before.messages.at(0), RowOf(1).SerializeAsString() + bytes);
  EXPECT_EQ(before.messages.at(2), RowOf(3).SerializeAsString() + "small");
  first.Send(raw::GoAway(0, "bye"));
  StreamServer second = AcceptStream();
  EXPECT_EQ(second.Read(3, false).messages, before.messages);
  second.Send(raw::Reply(second.id(), Sum(3)));
  EXPECT_TRUE(adding.Finish().ok());
}

TEST_F(StreamSentAgain, NotWithAnAttachmentThatItsServerDoesNotTake) {
  ClientWriter<Row, RowSum> adding = stub_->Add({.context = &context_});
  StreamServer first = AcceptStream();
  EXPECT_FALSE(adding.Write(RowOf(1), absl::Cord("beside")));
  const absl::Status status = adding.Finish().status();
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("does not take attachments beside messages of streams"));
}

TEST_F(StreamSentAgain, CompressedAsBefore) {
  // Its client compresses nothing for a server that does not announce the codec.
  features_ |= native::kZstd;
  ClientWriter<Row, RowSum> adding =
      stub_->Add({.context = &context_, .compression = Compression::kZstd});
  StreamServer first = AcceptStream();
  ASSERT_TRUE(adding.Write(RowOf(1, 5'000)));
  const Streamed before = first.Read(1, false);
  EXPECT_TRUE(before.compressed);
  first.Send(raw::GoAway(0, "bye"));
  StreamServer second = AcceptStream();
  const Streamed again = second.Read(1, false);
  EXPECT_TRUE(again.compressed);
  EXPECT_EQ(again.messages, before.messages);
  second.Send(raw::Reply(second.id(), Sum(1)));
  EXPECT_TRUE(adding.Finish().ok());
}

// ---- what stays where it is

class StreamStays : public StreamSentAgain, public ::testing::WithParamInterface<const char*> {};

TEST_P(StreamStays, WhereItsServerHasSaidSomethingOfIt) {
  ClientStream<Row, Row> talk = stub_->Talk({.context = &context_});
  StreamServer first = AcceptStream();
  ASSERT_TRUE(talk.Write(RowOf(1)));
  EXPECT_EQ(first.Read(1, false).messages.size(), 1u);
  const std::string said = GetParam();
  first.Send((said == "Window"    ? raw::Window(first.id(), true, 10)
              : said == "Message" ? raw::Message(first.id(), true, "")
                                  : raw::Headers(first.id(), raw::Pair("k", "v"))) +
             raw::GoAway(0, "bye"));
  const absl::Status status = talk.Finish();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("refused, the server is going away: bye"));
  EXPECT_EQ(context_.attempts(), 1);
  // The GOAWAY says that no call was taken, whatever came before it.
  EXPECT_FALSE(context_.may_have_been_executed());
}

INSTANTIATE_TEST_SUITE_P(By, StreamStays, ::testing::Values("Window", "Message", "Headers"),
                         [](const auto& said) { return std::string(said.param); });

TEST_F(StreamSentAgain, NotWhenMoreWasWrittenThanIsKept) {
  ClientWriter<Row, RowSum> adding = stub_->Add({.context = &context_});
  StreamServer first = AcceptStream();
  // With the row's other bytes, more than is kept.
  ASSERT_TRUE(adding.Write(RowOf(1, internal::SentMessages::kMax)));
  EXPECT_EQ(first.Read(1, false).messages.size(), 1u);
  first.Send(raw::GoAway(0, "bye"));
  EXPECT_EQ(adding.Finish().status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(context_.attempts(), 1);
  EXPECT_FALSE(context_.may_have_been_executed());
}

TEST_F(StreamSentAgain, NotWhenNobodyHoldsItAnyMore) {
  std::optional<ClientWriter<Row, RowSum>> adding = stub_->Add();
  StreamServer first = AcceptStream();
  ASSERT_TRUE(adding->Write(RowOf(1)));
  // The holder has gone, and with it the reason to send anything again.
  adding.reset();
  EXPECT_TRUE(first.peer().ReadFrame(FrameType::kCancel).has_value());
  first.Send(raw::GoAway(0, "bye"));
  EXPECT_TRUE(first.peer().WaitForClose());
  EXPECT_EQ(channel_->counts().resent, 0);
}

// ---- what can happen between two connections

TEST_F(StreamSentAgain, IsCancelledBetweenConnections) {
  ClientWriter<Row, RowSum> adding = stub_->Add({.context = &context_});
  StreamServer first = AcceptStream();
  ASSERT_TRUE(adding.Write(RowOf(1)));
  first.Send(raw::GoAway(0, "bye"));
  ASSERT_TRUE(first.peer().WaitForClose());
  RawPeer second = listener_.Accept();  // and says nothing
  adding.Cancel();
  EXPECT_EQ(adding.Finish().status().code(), StatusCode::kCancelled);
  EXPECT_FALSE(context_.may_have_been_executed());
}

TEST_F(StreamSentAgain, EndsWithItsChannelBetweenConnections) {
  ClientWriter<Row, RowSum> adding = stub_->Add({.context = &context_});
  StreamServer first = AcceptStream();
  ASSERT_TRUE(adding.Write(RowOf(1)));
  first.Send(raw::GoAway(0, "bye"));
  ASSERT_TRUE(first.peer().WaitForClose());
  RawPeer second = listener_.Accept();
  // There is no link, so a write has to wait. The writer below may be waiting when the channel
  // goes.
  EXPECT_FALSE(adding.ready());
  Watched<bool> over{false};
  std::thread writer([&] {
    while (adding.Write(RowOf(2, 10'000))) {
    }
    over.Set(true);
  });
  channel_.reset();
  EXPECT_TRUE(over.WaitFor([](bool o) { return o; }));
  writer.join();
  EXPECT_EQ(adding.Finish().status().code(), StatusCode::kUnavailable);
}

}  // namespace
}  // namespace weft::test
