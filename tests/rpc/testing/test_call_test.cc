// Calls made up by a test, for handlers of each style that the test calls itself. No server is
// there: a handler runs on the test's thread.
#include "weft/rpc/testing/test_call.h"

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protos/rows.weft.h"
#include "weft/core/block_on.h"
#include "weft/core/coro.h"
#include "weft/core/manual_clock.h"
#include "weft/rpc/testing/test_stream.h"

namespace weft::test {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;

// ---- handlers that return

class Blocking final : public Rows::Service {
 public:
  // Uses all that a context offers. Each fact has an error of its own, so a failure names the one
  // that is missing.
  absl::Status Get(ServerContext& call, RowQuery& query, Row& row) override {
    if (call.identity() != "ann") return absl::PermissionDeniedError(call.peer());
    if (call.cancelled()) return absl::CancelledError("nobody waits");
    if (call.metadata().Get("shelf") != "7") return absl::NotFoundError("no such shelf");
    row.set_number(query.rows());
    row.set_data(std::string(call.attachment()));
    if (!call.initial_metadata().Add("began", "yes").ok()) return absl::InternalError("began");
    call.SendInitialMetadata();
    call.reply_attachment() = absl::Cord("back");
    call.set_compression(Compression::kGzip);
    return call.trailers().Add("left", "3");
  }
  absl::Status Add(ServerContext&, ServerReader<Row>& rows, RowSum& sum) override {
    Row row;
    while (rows.Read(&row)) sum.set_total(sum.total() + row.number());
    return absl::OkStatus();
  }
  absl::Status List(ServerContext& call, RowQuery& query, ServerWriter<Row>& rows) override {
    for (int64_t i = 0; i < query.rows(); ++i) {
      Row row;
      row.set_number(i);
      if (!rows.Write(row, absl::Cord("beside"))) return absl::CancelledError("nobody reads");
    }
    call.RetryAfter(absl::Milliseconds(5));
    return absl::OkStatus();
  }
  absl::Status Talk(ServerContext&, ServerStream<Row, Row>& rows) override {
    Row row;
    while (rows.Read(&row)) {
      if (!rows.Write(row)) return absl::CancelledError("nobody reads");
    }
    return absl::OkStatus();
  }
};

RowQuery Query(int64_t rows) {
  RowQuery query;
  query.set_rows(rows);
  return query;
}

Row RowOf(int64_t number) {
  Row row;
  row.set_number(number);
  return row;
}

// The facts that Blocking::Get asks for.
TestCallOptions FromAnn() {
  TestCallOptions options;
  options.method = "weft.test.Rows/Get";
  options.peer = "10.0.0.7:4000";
  options.identity = "ann";
  EXPECT_TRUE(options.metadata.Add("shelf", "7").ok());
  options.attachment = absl::Cord("there");
  return options;
}

TEST(TestCall, AHandlerSeesWhoCallsAndSaysWhatGoesBeside) {
  Blocking rows;
  RowQuery query = Query(4);
  Row row;
  TestCall call(FromAnn());
  EXPECT_EQ(call.context().method(), "weft.test.Rows/Get");
  EXPECT_EQ(rows.Get(call.context(), query, row), absl::OkStatus());
  EXPECT_EQ(row.number(), 4);
  EXPECT_EQ(row.data(), "there");
  EXPECT_EQ(call.trailers().Get("left"), "3");
  EXPECT_EQ(call.initial_metadata().Get("began"), "yes");
  EXPECT_TRUE(call.sent_initial_metadata());
  EXPECT_EQ(call.reply_attachment(), "back");
  EXPECT_EQ(call.compression(), Compression::kGzip);
  EXPECT_FALSE(call.answered());  // a handler that returns does not answer by itself
  // Without options a call comes from nobody: no identity, no node, and nobody to call back.
  TestCall other({.peer = "elsewhere"});
  EXPECT_EQ(rows.Get(other.context(), query, row), absl::PermissionDeniedError("elsewhere"));
  EXPECT_EQ(other.context().node(), "");
  EXPECT_EQ(other.context().caller(), nullptr);
}

TEST(TestCall, ItsDeadlineIsByTheTestsClock) {
  ManualClock clock;
  TestCall call({.timeout = absl::Seconds(3), .clock = &clock});
  clock.Advance(seconds(1));
  EXPECT_EQ(call.context().time_left(), absl::Seconds(2));
  EXPECT_FALSE(call.context().cancelled());
  clock.Advance(seconds(2));
  EXPECT_TRUE(call.context().cancelled());
}

TEST(TestCall, CancellingItIsSeenAndTold) {
  TestCall call;
  bool told = false;
  // The two ways by which a handler hears of it: it looks, or it is told.
  const std::stop_callback tell(call.context().stop_token(), [&] { told = true; });
  EXPECT_FALSE(call.context().cancelled());
  call.Cancel();
  EXPECT_TRUE(call.context().cancelled());
  EXPECT_TRUE(told);
}

TEST(TestCall, WhatBeginsInsideRunIsPartOfIt) {
  ManualClock clock;
  TestCall call({.timeout = absl::Seconds(3), .clock = &clock});
  EXPECT_EQ(internal::CallScope::Current(), nullptr);
  const MonoTime deadline = call.Run([] { return internal::CallScope::Current()->deadline(); });
  EXPECT_EQ(deadline, clock.Now() + seconds(3));
  EXPECT_EQ(internal::CallScope::Current(), nullptr);
}

// ---- handlers that answer later

// Answers from callbacks or when the test says so.
class Later final : public Rows::AsyncService {
 public:
  void Get(ServerContext&, RowQuery& query, Responder<Row> responder) override {
    responder.reply().set_number(query.rows());
    kept = std::move(responder);
  }
  void Add(ServerContext&, AsyncServerReader<Row, RowSum> rows) override {
    // Reads one row at a time, each callback asking for the next. It owns itself by the callback.
    struct Adding {
      AsyncServerReader<Row, RowSum> rows;
      Row row;
      static void Next(std::shared_ptr<Adding> self) {
        Adding& adding = *self;
        adding.rows.ReadAsync(&adding.row, [self = std::move(self)](bool more) {
          if (!more) return self->rows.Finish();
          self->rows.reply().set_total(self->rows.reply().total() + self->row.number());
          Next(self);
        });
      }
    };
    Adding::Next(std::make_shared<Adding>(std::move(rows)));
  }
  void List(ServerContext&, RowQuery& query, AsyncServerWriter<Row> rows) override {
    for (int64_t i = 0; i < query.rows(); ++i) {
      if (!rows.TryWrite(RowOf(i))) return rows.Finish(absl::ResourceExhaustedError("slow"));
    }
    rows.Finish();
  }
  std::optional<Responder<Row>> kept;
};

TEST(TestCall, IsAnsweredByItsResponder) {
  Later rows;
  RowQuery query = Query(4);
  Row row;
  TestCall call;
  rows.Get(call.context(), query, call.responder(row));
  EXPECT_FALSE(call.answered());
  // Another thread, as in a server: WaitForAnswer is for just that.
  std::thread other([&] { rows.kept->Finish(absl::NotFoundError("late")); });
  call.WaitForAnswer();
  other.join();
  EXPECT_TRUE(call.answered());
  EXPECT_TRUE(absl::IsNotFound(call.status()));
  EXPECT_EQ(row.number(), 4);
}

TEST(TestCall, AResponderThatIsDroppedAnswersInternal) {
  Later rows;
  RowQuery query = Query(4);
  Row row;
  {
    TestCall call;
    rows.Get(call.context(), query, call.responder(row));
    rows.kept.reset();
    EXPECT_TRUE(absl::IsInternal(call.status())) << call.status();
  }
  {
    TestCall call;
    rows.Get(call.context(), query, call.responder(row));
  }
  rows.kept.reset();  // outlives its call
}

TEST(TestStream, AHandlerMayReadAndWriteLater) {
  Later rows;
  RowSum sum;
  TestCall adding;
  TestStream<Row, RowSum> added(adding);
  rows.Add(adding.context(), added.async_reader(sum));
  added.Push(RowOf(3));
  added.Push(RowOf(4));
  // All rows are read, but only the half-close says that there are no more.
  EXPECT_FALSE(adding.answered());
  added.HalfClose();
  EXPECT_TRUE(adding.answered());
  EXPECT_EQ(sum.total(), 7);

  RowQuery query = Query(3);
  TestCall listing;
  TestStream<RowQuery, Row> listed(listing);
  // One less than the handler wants to write.
  listed.SetRoom(2);
  rows.List(listing.context(), query, listed.async_writer());
  EXPECT_TRUE(absl::IsResourceExhausted(listing.status())) << listing.status();
  EXPECT_EQ(listed.written().size(), 2U);
}

TEST(TestStream, AHandlerThatBlocksReadsWhatWasPushedAndWritesToTheTest) {
  Blocking rows;
  RowSum sum;
  TestCall call;
  TestStream<Row, RowSum> added(call);
  added.Push(RowOf(3));
  added.Push(RowOf(4));
  added.HalfClose();
  EXPECT_EQ(rows.Add(call.context(), added.reader(), sum), absl::OkStatus());
  EXPECT_EQ(sum.total(), 7);

  RowQuery query = Query(2);
  TestCall listing;
  TestStream<RowQuery, Row> listed(listing);
  EXPECT_EQ(rows.List(listing.context(), query, listed.writer()), absl::OkStatus());
  ASSERT_EQ(listed.written().size(), 2U);
  EXPECT_EQ(listed.written()[1].number(), 1);
  EXPECT_THAT(listed.written_attachments(), ElementsAre("beside", "beside"));
  EXPECT_EQ(listing.trailers().Get("weft-retry-pushback-ms"), "5");
  EXPECT_TRUE(listing.sent_initial_metadata());

  TestCall gone;
  TestStream<RowQuery, Row> nobody(gone);
  // The client goes after the first row, so the handler's second write must fail.
  nobody.OnWritten([&](const Row&) { gone.Cancel(); });
  EXPECT_TRUE(absl::IsCancelled(rows.List(gone.context(), query, nobody.writer())));
  EXPECT_EQ(nobody.written().size(), 1U);
}

// ---- coroutines

class Coroutines final : public Rows::CoroService {
 public:
  Coro<absl::Status> Get(ServerContext&, RowQuery& query, Row& row) override {
    row.set_number(query.rows());
    co_return absl::OkStatus();
  }
  Coro<absl::Status> Talk(ServerContext&, ServerStream<Row, Row>& rows) override {
    Row row;
    for (;;) {
      const bool more = co_await rows.ReadCoro(&row);
      if (!more) co_return absl::OkStatus();
      row.set_number(row.number() * 10);
      const bool written = co_await rows.WriteCoro(row);
      if (!written) co_return absl::CancelledError("nobody reads");
    }
  }
};

TEST(TestCall, ACoroutineIsBlockedOn) {
  Coroutines rows;
  RowQuery query = Query(4);
  Row row;
  TestCall call;
  EXPECT_EQ(BlockOn(rows.Get(call.context(), query, row)), absl::OkStatus());
  EXPECT_EQ(row.number(), 4);
}

TEST(TestStream, ACoroutineGoesOnInsideWhatItWaitsFor) {
  Coroutines rows;
  TestCall call;
  TestStream<Row, Row> stream(call);
  // Holds the coroutine in its second write, which SetRoom(5) lets go on.
  stream.SetRoom(1);
  std::optional<absl::Status> ended;
  Spawn(rows.Talk(call.context(), stream.stream()),
        [&](std::optional<absl::Status> status, std::exception_ptr) { ended = status; });
  stream.Push(RowOf(1));
  stream.Push(RowOf(2));
  EXPECT_EQ(stream.written().size(), 1U);
  stream.SetRoom(5);
  EXPECT_EQ(stream.written().size(), 2U);
  EXPECT_EQ(stream.written()[1].number(), 20);
  EXPECT_EQ(ended, std::nullopt);
  stream.HalfClose();
  EXPECT_EQ(ended, absl::OkStatus());
}

}  // namespace
}  // namespace weft::test
