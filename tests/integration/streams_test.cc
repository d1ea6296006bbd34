// Streams over the whole stack: four kinds of method, three styles a side, credit, endings.
#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/protos/rows.weft.h"

namespace weft::test {
namespace {

using testing::HasSubstr;

Row RowOf(int64_t number, size_t bytes = 0) {
  Row row;
  row.set_number(number);
  if (bytes > 0) row.set_data(Pattern(bytes, static_cast<uint64_t>(number) + 1));
  return row;
}

RowQuery QueryOf(int64_t rows, int64_t bytes = 0, int code = 0) {
  RowQuery query;
  query.set_rows(rows);
  query.set_bytes(bytes);
  query.set_code(code);
  return query;
}

void AddTo(const Row& row, RowSum* sum) {
  sum->set_rows(sum->rows() + 1);
  sum->set_total(sum->total() + row.number());
  sum->set_bytes(sum->bytes() + static_cast<int64_t>(row.data().size()));
}

absl::Status EndOf(const RowQuery& query) {
  return query.code() == 0 ? absl::OkStatus()
                           : absl::Status(static_cast<absl::StatusCode>(query.code()), "as asked");
}

class BlockingRows : public Rows::Service {
 public:
  absl::Status Add(ServerContext&, ServerReader<Row>& rows, RowSum& sum) override {
    Row row;
    while (rows.Read(&row)) AddTo(row, &sum);
    return absl::OkStatus();
  }
  absl::Status List(ServerContext& call, RowQuery& query, ServerWriter<Row>& rows) override {
    for (int64_t i = 0; i < query.rows(); ++i) {
      if (!rows.Write(RowOf(i, static_cast<size_t>(query.bytes())))) {
        gave_up.fetch_add(1);
        return absl::CancelledError("nobody reads");
      }
      written.fetch_add(1);
    }
    (void)call.trailers().Add("rows", absl::StrCat(query.rows()));
    return EndOf(query);
  }
  absl::Status Talk(ServerContext&, ServerStream<Row, Row>& stream) override {
    Row row;
    while (stream.Read(&row)) {
      if (row.text() == "end") return absl::AbortedError("as asked");
      if (!stream.Write(row)) break;
    }
    ended.fetch_add(1);
    return absl::OkStatus();
  }

  std::atomic<int64_t> written{0};
  std::atomic<int> gave_up{0};
  std::atomic<int> ended{0};
};

class CoroutineRows : public Rows::CoroService {
 public:
  Coro<absl::Status> Add(ServerContext&, ServerReader<Row>& rows, RowSum& sum) override {
    Row row;
    while (co_await rows.ReadCoro(&row)) AddTo(row, &sum);
    co_return absl::OkStatus();
  }
  Coro<absl::Status> List(ServerContext&, RowQuery& query, ServerWriter<Row>& rows) override {
    for (int64_t i = 0; i < query.rows(); ++i) {
      const Row row = RowOf(i, static_cast<size_t>(query.bytes()));
      if (!co_await rows.WriteCoro(row)) co_return absl::CancelledError("nobody reads");
    }
    co_return EndOf(query);
  }
  Coro<absl::Status> Talk(ServerContext&, ServerStream<Row, Row>& stream) override {
    Row row;
    while (co_await stream.ReadCoro(&row)) {
      if (row.text() == "end") co_return absl::AbortedError("as asked");
      if (!co_await stream.WriteCoro(row)) break;
    }
    co_return absl::OkStatus();
  }
};

// Everything by callbacks, on the I/O thread.
class AnsweringRows : public Rows::AsyncService {
 public:
  void Add(ServerContext&, AsyncServerReader<Row, RowSum> rows) override {
    auto state = std::make_shared<Adding>(Adding{std::move(rows), {}});
    AddNext(state);
  }
  void List(ServerContext&, RowQuery& query, AsyncServerWriter<Row> rows) override {
    auto state = std::make_shared<Listing>(Listing{std::move(rows), query, 0});
    ListNext(state);
  }
  void Talk(ServerContext&, AsyncServerStream<Row, Row> stream) override {
    auto state = std::make_shared<Talking>(Talking{std::move(stream), {}});
    TalkNext(state);
  }

 private:
  struct Adding {
    AsyncServerReader<Row, RowSum> rows;
    Row row;
  };
  static void AddNext(std::shared_ptr<Adding> s) {
    s->rows.ReadAsync(&s->row, [s](bool more) {
      if (!more) {
        s->rows.Finish();
        return;
      }
      AddTo(s->row, &s->rows.reply());
      AddNext(s);
    });
  }
  struct Listing {
    AsyncServerWriter<Row> rows;
    RowQuery query;
    int64_t next;
  };
  static void ListNext(std::shared_ptr<Listing> s) {
    while (s->next < s->query.rows()) {
      if (s->rows.ended()) {
        s->rows.Finish(absl::CancelledError("nobody reads"));
        return;
      }
      if (!s->rows.TryWrite(RowOf(s->next, static_cast<size_t>(s->query.bytes())))) {
        s->rows.OnReady([s] { ListNext(s); });
        return;
      }
      ++s->next;
    }
    s->rows.Finish(EndOf(s->query));
  }
  struct Talking {
    AsyncServerStream<Row, Row> stream;
    Row row;
  };
  static void Send(std::shared_ptr<Talking> s) {
    if (s->stream.ended()) {
      s->stream.Finish(absl::CancelledError("gone"));
    } else if (s->stream.TryWrite(s->row)) {
      TalkNext(s);
    } else {
      s->stream.OnReady([s] { Send(s); });
    }
  }
  static void TalkNext(std::shared_ptr<Talking> s) {
    s->stream.ReadAsync(&s->row, [s](bool more) {
      if (!more) {
        s->stream.Finish();
      } else if (s->row.text() == "end") {
        s->stream.Finish(absl::AbortedError("as asked"));
      } else {
        Send(s);
      }
    });
  }
};

// A server of each handler style.
template <typename S>
class StreamsIn : public testing::Test {
 protected:
  S service;
  TestServer server{service};
  std::unique_ptr<Channel> channel = ChannelTo(server.target());
  Rows::Stub rows{*channel};
};
using Styles = testing::Types<BlockingRows, CoroutineRows, AnsweringRows>;
TYPED_TEST_SUITE(StreamsIn, Styles);

TYPED_TEST(StreamsIn, ClientStreams) {
  auto adding = this->rows.Add();
  for (int64_t i = 0; i < 1000; ++i) ASSERT_TRUE(adding.Write(RowOf(i)));
  const absl::StatusOr<RowSum> sum = adding.Finish();
  ASSERT_TRUE(sum.ok()) << sum.status();
  EXPECT_EQ(sum->rows(), 1000);
  EXPECT_EQ(sum->total(), 999 * 500);
}

TYPED_TEST(StreamsIn, ServerStreams) {
  auto reader = this->rows.List(QueryOf(1000, 100));
  Row row;
  int64_t next = 0;
  while (reader.Read(&row)) {
    EXPECT_EQ(row.number(), next);
    // Each row has bytes of its own, which show one that was lost, doubled or moved.
    EXPECT_EQ(row.data(), Pattern(100, static_cast<uint64_t>(next) + 1));
    ++next;
  }
  EXPECT_EQ(next, 1000);
  EXPECT_TRUE(reader.Finish().ok());
}

TYPED_TEST(StreamsIn, ServerStreamEndsWithItsStatusBehindItsMessages) {
  // 10: ABORTED, behind three rows, which the status must not overtake.
  auto reader = this->rows.List(QueryOf(3, 0, 10));
  Row row;
  int read = 0;
  while (reader.Read(&row)) ++read;
  EXPECT_EQ(read, 3);
  const absl::Status s = reader.Finish();
  EXPECT_TRUE(absl::IsAborted(s)) << s;
}

TYPED_TEST(StreamsIn, BothStreamInTurn) {
  auto talk = this->rows.Talk();
  Row row;
  for (int64_t i = 0; i < 200; ++i) {
    ASSERT_TRUE(talk.Write(RowOf(i, 10)));
    ASSERT_TRUE(talk.Read(&row));
    EXPECT_EQ(row.number(), i);
  }
  talk.HalfClose();
  EXPECT_FALSE(talk.Read(&row));
  const absl::Status s = talk.Finish();
  EXPECT_TRUE(s.ok()) << s;
}

TYPED_TEST(StreamsIn, BothStreamAtOnceFarBeyondTheirCredit) {
  auto talk = this->rows.Talk();
  // 4 MB each way: many times the windows, so both sides have to give credit back while they write.
  constexpr int64_t kRows = 2000;
  // A thread of its own: a client that only wrote would fill both windows and stop, as the echo
  // stops.
  std::thread writer([&] {
    for (int64_t i = 0; i < kRows; ++i) {
      if (!talk.Write(RowOf(i, 2000))) return;
    }
    talk.HalfClose();
  });
  Row row;
  int64_t next = 0;
  while (talk.Read(&row)) {
    EXPECT_EQ(row.number(), next);
    EXPECT_EQ(row.data().size(), 2000u);
    ++next;
  }
  writer.join();
  EXPECT_EQ(next, kRows);
  EXPECT_TRUE(talk.Finish().ok());
}

TYPED_TEST(StreamsIn, LargeMessagesTravelInPieces) {
  auto talk = this->rows.Talk();
  Row row;
  // Within one frame, a little more than one, more than a stream's window, and far more than that.
  for (const size_t size : {size_t{40'000}, size_t{70'000}, size_t{1'000'000}, size_t{5'000'000}}) {
    ASSERT_TRUE(talk.Write(RowOf(7, size)));
    ASSERT_TRUE(talk.Read(&row));
    EXPECT_EQ(row.data(), Pattern(size, 8));
  }
  EXPECT_TRUE(talk.Finish().ok());
}

TYPED_TEST(StreamsIn, HandlerEndsWhileTheClientWouldGoOn) {
  auto talk = this->rows.Talk();
  Row end;
  end.set_text("end");
  ASSERT_TRUE(talk.Write(end));
  Row row;
  EXPECT_FALSE(talk.Read(&row));
  const absl::Status s = talk.Finish();
  EXPECT_TRUE(absl::IsAborted(s)) << s;
}

// Far more than the windows hold: the handler's last message needs credit for those that nobody
// reads.
TYPED_TEST(StreamsIn, FinishLeavesMessagesUnreadAndTheHandlerComesToItsEnd) {
  auto reader = this->rows.List(QueryOf(2000, 1000), {.timeout = absl::InfiniteDuration()});
  Row row;
  ASSERT_TRUE(reader.Read(&row));
  const absl::Status s = reader.Finish();
  EXPECT_TRUE(s.ok()) << s;
}

TYPED_TEST(StreamsIn, NoMessagesAtAll) {
  auto adding = this->rows.Add();
  const absl::StatusOr<RowSum> sum = adding.Finish();
  ASSERT_TRUE(sum.ok()) << sum.status();
  EXPECT_EQ(sum->rows(), 0);
  auto reader = this->rows.List(QueryOf(0));
  Row row;
  EXPECT_FALSE(reader.Read(&row));
  EXPECT_TRUE(reader.Finish().ok());
}

TYPED_TEST(StreamsIn, CoroutineClient) {
  Awaited<absl::Status> done;
  Rows::Stub& stub = this->rows;
  const auto client = [&]() -> Coro<absl::Status> {
    auto talk = stub.Talk();
    Row row;
    // 900 KB each way, more than three of the stream's windows.
    for (int64_t i = 0; i < 300; ++i) {
      const Row out = RowOf(i, 3000);
      if (!co_await talk.WriteCoro(out)) co_return absl::InternalError("write");
      if (!co_await talk.ReadCoro(&row)) co_return absl::InternalError("read");
      if (row.number() != i) co_return absl::InternalError("order");
    }
    co_return co_await talk.FinishCoro();
  };
  Spawn(client(), [&](std::optional<absl::Status> s, std::exception_ptr) {
    done.Add(s.has_value() ? *s : absl::UnknownError("it threw"));
  });
  const absl::Status s = done.Wait();
  EXPECT_TRUE(s.ok()) << s;
}

TYPED_TEST(StreamsIn, CallbackClient) {
  Awaited<absl::StatusOr<RowSum>> done;
  auto adding = this->rows.Add();
  int64_t next = 0;
  std::function<void()> write = [&] {
    // 3,000 rows of 500 bytes are nearly six windows, so the writer has to wait for room.
    while (next < 3000) {
      if (!adding.TryWrite(RowOf(next, 500))) {
        adding.OnReady(write);
        return;
      }
      ++next;
    }
    adding.FinishAsync([&](absl::StatusOr<RowSum> sum) { done.Add(std::move(sum)); });
  };
  write();
  const absl::StatusOr<RowSum> sum = done.Wait();
  ASSERT_TRUE(sum.ok()) << sum.status();
  EXPECT_EQ(sum->rows(), 3000);
}

class Streams : public StreamsIn<BlockingRows> {};

TEST_F(Streams, SlowReaderStopsItsWriterAndNobodyElse) {
  // Never read beyond its first row, so its writer has to stand still.
  auto slow = rows.List(QueryOf(1'000'000, 1000));
  Row row;
  ASSERT_TRUE(slow.Read(&row));
  // Another stream on the connection goes on to its end, and so do calls that do not stream.
  auto quick = rows.List(QueryOf(2000, 1000));
  int64_t read = 0;
  while (quick.Read(&row)) ++read;
  EXPECT_EQ(read, 2000);
  EXPECT_TRUE(quick.Finish().ok());
  // The slow one's writer stands at its window: 256 KiB are less than 300 of its rows.
  EXPECT_LT(service.written.load(), 2000 + 300);
  slow.Cancel();
  EXPECT_TRUE(absl::IsCancelled(slow.Finish()));
}

TEST_F(Streams, DroppedReaderCancelsItsCall) {
  {
    // A gigabyte: the handler cannot come to its end before it is cancelled. Without a deadline,
    // which would end it as well.
    auto reader = rows.List(QueryOf(1'000'000, 1000), {.timeout = absl::InfiniteDuration()});
    Row row;
    ASSERT_TRUE(reader.Read(&row));
  }
  // The CANCEL takes a moment; the handler learns of it at its next write.
  EXPECT_TRUE(PollUntil([&] { return service.gave_up.load() == 1; }));
}

TEST_F(Streams, WhoFinishesWithoutReadingGetsTheEndAllTheSame) {
  // 5 MB, far beyond the credit of its stream.
  auto reader = rows.List(QueryOf(5000, 1000), {.timeout = absl::InfiniteDuration()});
  const absl::Status s = reader.Finish();
  EXPECT_TRUE(s.ok()) << s;
  EXPECT_EQ(service.written.load(), 5000);
}

TEST_F(Streams, MessagesThatNobodyReadCostTheConnectionNothing) {
  ChannelOptions options;
  // Windows for two of the streams below: a byte of credit that is not given back shows after a few
  // of them.
  options.limits.stream_window_bytes = 64 << 10;
  options.limits.connection_window_bytes = 64 << 10;
  const auto narrow = ChannelTo(server.target(), options);
  Rows::Stub stub(*narrow);
  Row row;
  // Each leaves much of the connection's credit behind.
  for (int i = 0; i < 10; ++i) {
    auto reader = stub.List(QueryOf(30, 1000), {.timeout = absl::InfiniteDuration()});
    ASSERT_TRUE(reader.Read(&row));
    EXPECT_TRUE(reader.Finish().ok());
  }
}

TEST_F(Streams, DestroyedWhileItsEndIsAwaitedTellsSo) {
  Awaited<absl::Status> done;
  {
    auto talk = rows.Talk();
    ASSERT_TRUE(talk.Write(RowOf(1)));
    Row row;
    ASSERT_TRUE(talk.Read(&row));
    auto reader = rows.List(QueryOf(1'000'000, 1000));
    ASSERT_TRUE(reader.Read(&row));
    reader.FinishAsync([&](const absl::Status& s) { done.Add(s); });
  }
  EXPECT_TRUE(absl::IsCancelled(done.Wait())) << done.Wait();
  // Told once, although the stream that would have told it has gone.
  EXPECT_EQ(done.count(), 1u);
}

TEST_F(Streams, DeadlineEndsBothSides) {
  auto reader = rows.List(QueryOf(1'000'000, 1000), {.timeout = absl::Milliseconds(50)});
  Row row;
  while (reader.Read(&row)) {
    // Reading stops in the middle: the deadline has to end a handler that still writes.
    if (service.written.load() > 100) break;
  }
  const absl::Status s = reader.Finish();
  EXPECT_TRUE(absl::IsDeadlineExceeded(s)) << s;
  EXPECT_TRUE(PollUntil([&] { return service.gave_up.load() == 1; }));
}

TEST_F(Streams, TrailersComeWithTheEnd) {
  ClientContext context;
  auto reader = rows.List(QueryOf(2), {.context = &context});
  Row row;
  while (reader.Read(&row)) {
  }
  ASSERT_TRUE(reader.Finish().ok());
  EXPECT_EQ(context.trailers().Get("rows"), "2");
}

TEST_F(Streams, LostConnectionEndsThemOnBothSides) {
  auto talk = rows.Talk();
  Row row;
  ASSERT_TRUE(talk.Write(RowOf(1)));
  ASSERT_TRUE(talk.Read(&row));
  // The channel ends before its stream, which must stay usable and say so.
  channel.reset();
  EXPECT_FALSE(talk.Read(&row));
  const absl::Status s = talk.Finish();
  EXPECT_TRUE(absl::IsUnavailable(s)) << s;
  EXPECT_TRUE(PollUntil([&] { return service.ended.load() == 1; }));
}

// A server that ends its connections all the time: calls cross its GOAWAY, and no caller notices.
TEST(StreamsOverConnectionsThatEnd, GoOnWhereTheyAre) {
  constexpr int kConnections = 20;
  constexpr int kCallers = 4;
  constexpr int64_t kRows = 5;
  BlockingRows service;
  ServerOptions server_options;
  // So short that many streams begin just when a connection ends.
  server_options.max_connection_age = absl::Milliseconds(2);
  TestServer server(service, server_options);
  ChannelOptions options;
  options.backoff = options.max_backoff = absl::Milliseconds(1);
  const auto channel = server.Connect(options);
  std::atomic<int> calls{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < kCallers; ++c) {
    callers.emplace_back([&] {
      Rows::Stub stub(*channel);
      while (server->connections().accepted < kConnections && calls.fetch_add(1) < 50'000) {
        auto adding = stub.Add({.timeout = absl::Seconds(60), .wait_for_ready = true});
        for (int64_t i = 1; i <= kRows; ++i) EXPECT_TRUE(adding.Write(RowOf(i, 100)));
        const absl::StatusOr<RowSum> sum = adding.Finish();
        ASSERT_TRUE(sum.ok()) << sum.status();
        EXPECT_EQ(sum->rows(), kRows);
        EXPECT_EQ(sum->total(), kRows * (kRows + 1) / 2);
        EXPECT_EQ(sum->bytes(), kRows * 100);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_GE(server->connections().accepted, kConnections) << "in " << calls.load() << " calls";
  // GOAWAY comes in two steps: what crosses the first one is still served, so nothing has to be
  // sent again.
  EXPECT_EQ(channel->counts().resent, 0) << "none was refused";
}

TEST_F(Streams, ConnectsWithTheFirstStream) {
  auto adding = rows.Add();  // nothing is connected yet
  EXPECT_TRUE(adding.Write(RowOf(5)));
  const absl::StatusOr<RowSum> sum = adding.Finish();
  ASSERT_TRUE(sum.ok()) << sum.status();
  EXPECT_EQ(sum->total(), 5);
}

// A window for one stream alone: if any of what nobody reads were kept, the next ones would stop.
TEST_F(Streams, WhatNobodyReadsCostsTheConnectionNothing) {
  // Handlers of streams that were given up may still wait for credit, beside the one that counts:
  // half of the workers may.
  ServerOptions many;
  many.worker_threads = 64;
  BlockingRows listing;
  TestServer roomy(listing, many);
  ChannelOptions options;
  options.limits.stream_window_bytes = options.limits.connection_window_bytes = 64 << 10;
  const auto narrow = ChannelTo(roomy.target(), options);
  Rows::Stub stub(*narrow);
  Row row;
  for (int i = 0; i < 100; ++i) {
    auto reader = stub.List(QueryOf(50, 1000));
    ASSERT_TRUE(reader.Read(&row));
    if (i % 2 == 0) reader.Cancel();
  }
  auto reader = stub.List(QueryOf(500, 1000));
  int read = 0;
  while (reader.Read(&row)) ++read;
  EXPECT_EQ(read, 500);
  const absl::Status s = reader.Finish();
  EXPECT_TRUE(s.ok()) << s;
}

TEST_F(Streams, MessageOverTheLimitEndsItsCallAlone) {
  ChannelOptions options;
  options.limits.max_message_bytes = 10'000;
  const auto small = ChannelTo(server.target(), options);
  Rows::Stub stub(*small);
  auto adding = stub.Add();
  EXPECT_TRUE(adding.Write(RowOf(1)));
  EXPECT_FALSE(adding.Write(RowOf(1, 20'000)));
  const absl::Status s = adding.Finish().status();
  EXPECT_TRUE(absl::IsResourceExhausted(s)) << s;
  EXPECT_THAT(std::string(s.message()), HasSubstr("max_message_bytes of the channel"));
  // The limit holds for the server's messages, too: it knows the limit from the channel's Hello.
  auto reader = stub.List(QueryOf(2, 20'000));
  Row row;
  EXPECT_FALSE(reader.Read(&row));
  EXPECT_TRUE(absl::IsResourceExhausted(reader.Finish()));
  auto again = stub.List(QueryOf(2, 100));
  EXPECT_TRUE(again.Read(&row));
  EXPECT_TRUE(again.Finish().ok());
}

TEST_F(Streams, UnknownStreamingMethodIsUnimplemented) {
  HookedEcho echo;
  TestServer other{echo};
  const auto to_other = ChannelTo(other.target());
  auto talk = Rows::Stub(*to_other).Talk();
  (void)talk.Write(RowOf(1));
  EXPECT_TRUE(absl::IsUnimplemented(talk.Finish()));
}

}  // namespace
}  // namespace weft::test
