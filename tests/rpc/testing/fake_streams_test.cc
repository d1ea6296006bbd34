// Fakes of streams, used as code under test would use them: blocking, with callbacks and with
// coroutines. Nothing but the fake's own I/O thread calls back, so WaitForCallbacks makes each step
// certain.
#include "weft/rpc/testing/fake_streams.h"

#include <future>
#include <latch>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/protos/rows.weft.h"
#include "tests/protos/rows.weft_mock.h"
#include "weft/core/worker_pool.h"
#include "weft/rpc/call/client_context.h"

namespace weft::test {

using namespace internal;

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Row RowOf(int64_t number) {
  Row row;
  row.set_number(number);
  return row;
}

RowSum SumOf(int64_t rows) {
  RowSum sum;
  sum.set_rows(rows);
  return sum;
}

std::vector<int64_t> Numbers(const std::vector<Row>& rows) {
  std::vector<int64_t> numbers;
  for (const Row& row : rows) numbers.push_back(row.number());
  return numbers;
}

template <typename Stream>
std::vector<int64_t> ReadAll(Stream& stream) {
  std::vector<int64_t> numbers;
  Row row;
  while (stream.Read(&row)) numbers.push_back(row.number());
  return numbers;
}

// ---- reader

TEST(FakeReader, GivesItsMessagesAndItsEnd) {
  FakeReader<Row> fake({RowOf(1), RowOf(2)}, absl::UnavailableError("gone"));
  ClientReader<Row> rows = fake.Open();
  EXPECT_THAT(ReadAll(rows), ElementsAre(1, 2));
  EXPECT_EQ(rows.Finish(), absl::UnavailableError("gone"));
  // The last message is read, so the end came by itself.
  EXPECT_TRUE(fake.ended());
  EXPECT_FALSE(fake.cancelled());
}

TEST(FakeStream, PassesAttachmentsBothWays) {
  FakeStream<Row, Row> fake;
  fake.Push(RowOf(1), absl::Cord("beside"));
  fake.Push(RowOf(2));
  auto stream = fake.Open();
  Row row;
  absl::Cord beside;
  ASSERT_TRUE(stream.Read(&row, &beside));
  EXPECT_EQ(row.number(), 1);
  EXPECT_EQ(beside, "beside");
  ASSERT_TRUE(stream.Read(&row, &beside));
  EXPECT_TRUE(beside.empty());
  ASSERT_TRUE(stream.Write(RowOf(3), absl::Cord("too")));
  ASSERT_TRUE(stream.Write(RowOf(4)));
  EXPECT_EQ(fake.written_attachments(), (std::vector<absl::Cord>{absl::Cord("too"), absl::Cord()}));
  EXPECT_TRUE(stream.Finish().ok());
}

TEST(FakeReader, EndsAtOnceWithoutMessages) {
  FakeReader<Row> fake({}, absl::NotFoundError("no such table"));
  ClientReader<Row> rows = fake.Open();
  EXPECT_THAT(ReadAll(rows), IsEmpty());
  EXPECT_EQ(rows.Finish(), absl::NotFoundError("no such table"));
}

// Finish before the last message: the rest is dropped, which is no cancelling.
TEST(FakeReader, EndsWhenItsRestIsDropped) {
  FakeReader<Row> fake({RowOf(1), RowOf(2), RowOf(3)});
  ClientReader<Row> rows = fake.Open();
  Row row;
  ASSERT_TRUE(rows.Read(&row));
  EXPECT_TRUE(rows.Finish().ok());
  EXPECT_FALSE(fake.cancelled());
}

// On both sides of kCopyBelow, where the inbox changes from copying to keeping.
TEST(FakeReader, KeepsLargeAndEmptyMessages) {
  Row large;
  large.set_data(std::string(3 * StreamInbox::kCopyBelow, 'x'));
  FakeReader<Row> fake({large, Row(), large});
  ClientReader<Row> rows = fake.Open();
  std::vector<size_t> sizes;
  Row row;
  while (rows.Read(&row)) sizes.push_back(row.data().size());
  EXPECT_THAT(sizes, ElementsAre(large.data().size(), 0, large.data().size()));
}

TEST(FakeReader, SaysWhenItWasDropped) {
  FakeReader<Row> fake({RowOf(1), RowOf(2)});
  EXPECT_FALSE(fake.opened());
  {
    ClientReader<Row> rows = fake.Open();
    EXPECT_TRUE(fake.opened());
    Row row;
    ASSERT_TRUE(rows.Read(&row));
    EXPECT_FALSE(fake.ended());
  }
  EXPECT_TRUE(fake.cancelled());
  EXPECT_TRUE(fake.ended());
}

TEST(FakeReader, SaysWhenItWasCancelled) {
  FakeReader<Row> fake({RowOf(1)});
  ClientReader<Row> rows = fake.Open();
  rows.Cancel();
  EXPECT_TRUE(fake.cancelled());
  const absl::Status end = rows.Finish();
  EXPECT_EQ(end.code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(std::string(end.message()), HasSubstr("cancelled by the caller"));
}

// Code under test may cancel late, and a test must not take that for an early end.
TEST(FakeReader, IsNotCancelledAfterItsEnd) {
  FakeReader<Row> fake({RowOf(1)});
  ClientReader<Row> rows = fake.Open();
  EXPECT_THAT(ReadAll(rows), ElementsAre(1));
  rows.Cancel();
  EXPECT_TRUE(rows.Finish().ok());
  EXPECT_FALSE(fake.cancelled());
}

TEST(FakeReader, FollowsItsContext) {
  FakeReader<Row> fake({RowOf(1)});
  ClientContext context;
  ClientReader<Row> rows = fake.Open({.context = &context});
  context.Cancel();
  EXPECT_TRUE(fake.cancelled());
  EXPECT_EQ(rows.Finish().code(), absl::StatusCode::kCancelled);
}

// Here the context has nobody to tell when it is cancelled: Open must look.
TEST(FakeReader, FollowsAContextThatWasCancelledBefore) {
  FakeReader<Row> fake({RowOf(1)});
  ClientContext context;
  context.Cancel();
  ClientReader<Row> rows = fake.Open({.context = &context});
  EXPECT_TRUE(fake.cancelled());
  EXPECT_EQ(rows.Finish().code(), absl::StatusCode::kCancelled);
}

TEST(FakeReader, TellsItsContextTheTrailers) {
  FakeReader<Row> fake({RowOf(1)});
  Metadata trailers;
  ASSERT_TRUE(trailers.Add("rows", "1").ok());
  fake.SetTrailers(trailers);
  ClientContext context;
  ClientReader<Row> rows = fake.Open({.context = &context});
  EXPECT_TRUE(rows.Finish().ok());
  EXPECT_EQ(context.trailers().Get("rows"), "1");
}

TEST(FakeReader, TellsItsContextTheInitialMetadata) {
  FakeReader<Row> fake;
  Metadata initial;
  ASSERT_TRUE(initial.Add("shard", "7").ok());
  fake.SetInitialMetadata(initial);
  ClientContext context;
  ClientReader<Row> rows = fake.Open({.context = &context});
  EXPECT_TRUE(rows.WaitForInitialMetadata());
  EXPECT_EQ(context.initial_metadata().Get("shard"), "7");
}

TEST(FakeReader, HasNoInitialMetadataByItself) {
  FakeReader<Row> fake({RowOf(1)});
  ClientReader<Row> rows = fake.Open();
  EXPECT_FALSE(rows.WaitForInitialMetadata());
}

TEST(FakeReader, IsForOneCall) {
  FakeReader<Row> fake({RowOf(1)});
  ClientReader<Row> first = fake.Open();
  ClientReader<Row> second = fake.Open();
  EXPECT_THAT(ReadAll(second), IsEmpty());
  const absl::Status refused = second.Finish();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("has been opened before"));
  // The first call is not harmed by the second.
  EXPECT_THAT(ReadAll(first), ElementsAre(1));
}

TEST(FakeReader, MayBeGoneBeforeItsCall) {
  // The fake is gone at the end of this line; the call keeps what it needs.
  ClientReader<Row> rows = FakeReader<Row>({RowOf(1), RowOf(2)}).Open();
  EXPECT_THAT(ReadAll(rows), ElementsAre(1, 2));
  EXPECT_TRUE(rows.Finish().ok());
}

TEST(FakeReader, WakesAReaderThatWaits) {
  FakeReader<Row> fake;
  std::promise<void> first_read;
  std::vector<int64_t> read;
  absl::Status end;
  std::thread reader([&] {
    ClientReader<Row> rows = fake.Open();
    Row row;
    if (rows.Read(&row)) read.push_back(row.number());
    first_read.set_value();
    while (rows.Read(&row)) read.push_back(row.number());
    end = rows.Finish();
  });
  fake.Push(RowOf(1));
  // The second message comes when the reader has nothing left and waits.
  first_read.get_future().wait();
  fake.Push(RowOf(2));
  fake.End(absl::DataLossError("half a file"));
  fake.Push(RowOf(3));  // too late
  reader.join();
  EXPECT_THAT(read, ElementsAre(1, 2));
  EXPECT_EQ(end, absl::DataLossError("half a file"));
}

TEST(FakeReader, CallsBack) {
  FakeReader<Row> fake({RowOf(1)}, absl::AbortedError("enough"));
  ClientReader<Row> rows = fake.Open();
  Row row;
  std::vector<bool> read;
  rows.ReadAsync(&row, [&](bool more) { read.push_back(more); });
  fake.WaitForCallbacks();
  EXPECT_EQ(row.number(), 1);
  rows.ReadAsync(&row, [&](bool more) { read.push_back(more); });
  fake.WaitForCallbacks();
  EXPECT_THAT(read, ElementsAre(true, false));
  std::optional<absl::Status> end;
  rows.FinishAsync([&](absl::Status s) { end = std::move(s); });
  fake.WaitForCallbacks();
  EXPECT_EQ(end, absl::AbortedError("enough"));
}

TEST(FakeReader, CallsBackWhenSomethingIsPushed) {
  FakeReader<Row> fake;
  ClientReader<Row> rows = fake.Open();
  Row row;
  std::optional<bool> read;
  rows.ReadAsync(&row, [&](bool more) { read = more; });
  // Nothing was pushed, so there is nothing to call back with.
  EXPECT_EQ(read, std::nullopt);
  fake.Push(RowOf(7));
  fake.WaitForCallbacks();
  EXPECT_EQ(read, true);
  EXPECT_EQ(row.number(), 7);
  read.reset();
  rows.ReadAsync(&row, [&](bool more) { read = more; });
  fake.End(absl::OkStatus());
  fake.WaitForCallbacks();
  EXPECT_EQ(read, false);
}

// Pushed by the callback of a row: they must stand behind it, and in their own order.
TEST(FakeReader, KeepsTheOrderOfWhatIsPushedWhileItIsRead) {
  FakeReader<Row> fake;
  ClientReader<Row> rows = fake.Open();
  Row row;
  std::vector<int64_t> read;
  rows.ReadAsync(&row, [&](bool) {
    read.push_back(row.number());
    fake.Push(RowOf(2));
    fake.Push(RowOf(3));
  });
  fake.Push(RowOf(1));
  fake.WaitForCallbacks();
  fake.End(absl::OkStatus());
  while (rows.Read(&row)) read.push_back(row.number());
  EXPECT_THAT(read, ElementsAre(1, 2, 3));
}

TEST(FakeReader, KeepsTheOrderOfEachThreadThatPushes) {
  constexpr int64_t kThreads = 4, kRows = 80'000;
  FakeReader<Row> fake;
  ClientReader<Row> rows = fake.Open();
  std::latch begin(kThreads);
  std::vector<std::thread> threads;
  for (int64_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      // All begin together, or the first would be through before the last had started.
      begin.arrive_and_wait();
      for (int64_t i = thread; i < kRows; i += kThreads) fake.Push(RowOf(i));
    });
  }
  std::vector<int64_t> next = {0, 1, 2, 3};
  Row row;
  for (int64_t i = 0; i < kRows; ++i) {
    EXPECT_TRUE(rows.Read(&row));
    // Only the order within a thread is promised: the threads' rows come mixed.
    int64_t& expected = next[row.number() % kThreads];
    EXPECT_EQ(row.number(), expected);
    expected += kThreads;
  }
  for (std::thread& thread : threads) thread.join();
}

Coro<absl::Status> Collect(ClientReader<Row> rows, std::vector<int64_t>* read) {
  Row row;
  for (;;) {
    const bool more = co_await rows.ReadCoro(&row);
    if (!more) break;
    read->push_back(row.number());
  }
  co_return co_await rows.FinishCoro();
}

TEST(FakeReader, ResumesACoroutine) {
  FakeReader<Row> fake;
  std::vector<int64_t> read;
  std::optional<absl::Status> end;
  Spawn(Collect(fake.Open(), &read),
        [&](std::optional<absl::Status> s, std::exception_ptr) { end = std::move(s); });
  fake.Push(RowOf(1));
  fake.WaitForCallbacks();
  EXPECT_THAT(read, ElementsAre(1));
  fake.Push(RowOf(2));
  fake.WaitForCallbacks();
  // Two messages are no end: the coroutine waits for a third.
  EXPECT_EQ(end, std::nullopt);
  fake.End(absl::UnavailableError("gone"));
  fake.WaitForCallbacks();
  EXPECT_THAT(read, ElementsAre(1, 2));
  EXPECT_EQ(end, absl::UnavailableError("gone"));
}

// ---- writer

TEST(FakeWriter, KeepsWhatWasWrittenAndGivesItsReply) {
  FakeWriter<Row, RowSum> fake(SumOf(2));
  ClientWriter<Row, RowSum> adding = fake.Open();
  EXPECT_TRUE(adding.ready());
  EXPECT_TRUE(adding.Write(RowOf(1)));
  EXPECT_TRUE(adding.TryWrite(RowOf(2)));
  EXPECT_FALSE(fake.half_closed());
  EXPECT_FALSE(fake.ended());
  const absl::StatusOr<RowSum> sum = adding.Finish();
  ASSERT_TRUE(sum.ok()) << sum.status();
  EXPECT_EQ(sum->rows(), 2);
  EXPECT_TRUE(fake.half_closed());
  EXPECT_THAT(Numbers(fake.written()), ElementsAre(1, 2));
  // After the end a write does nothing, and says so.
  EXPECT_FALSE(adding.Write(RowOf(3)));
  EXPECT_THAT(Numbers(fake.written()), ElementsAre(1, 2));
}

TEST(FakeWriter, GivesItsError) {
  FakeWriter<Row, RowSum> fake(absl::PermissionDeniedError("read only"));
  ClientWriter<Row, RowSum> adding = fake.Open();
  EXPECT_TRUE(adding.Write(RowOf(1)));
  EXPECT_EQ(adding.Finish().status(), absl::PermissionDeniedError("read only"));
}

TEST(FakeWriter, FailsAfterSoManyMessages) {
  FakeWriter<Row, RowSum> fake(SumOf(3));
  fake.FailAfter(2, absl::ResourceExhaustedError("the disk is full"));
  ClientWriter<Row, RowSum> adding = fake.Open();
  EXPECT_TRUE(adding.Write(RowOf(1)));
  // The status comes with the second message and not before it.
  EXPECT_FALSE(adding.ended());
  EXPECT_TRUE(adding.Write(RowOf(2)));
  EXPECT_TRUE(adding.ended());
  EXPECT_FALSE(adding.Write(RowOf(3)));
  EXPECT_EQ(adding.Finish().status(), absl::ResourceExhaustedError("the disk is full"));
  EXPECT_THAT(Numbers(fake.written()), ElementsAre(1, 2));
}

TEST(FakeWriter, FailsAsItOpens) {
  FakeWriter<Row, RowSum> fake(SumOf(0));
  fake.FailAfter(0, absl::UnavailableError("gone"));
  ClientWriter<Row, RowSum> adding = fake.Open();
  EXPECT_FALSE(adding.Write(RowOf(1)));
  EXPECT_EQ(adding.Finish().status(), absl::UnavailableError("gone"));
  EXPECT_THAT(fake.written(), IsEmpty());
}

TEST(FakeWriter, IsNotReadyWithoutRoom) {
  FakeWriter<Row, RowSum> fake(SumOf(0));
  fake.SetRoom(1);
  int told = 0;
  {
    ClientWriter<Row, RowSum> adding = fake.Open();
    EXPECT_TRUE(adding.TryWrite(RowOf(1)));
    EXPECT_FALSE(adding.ready());
    EXPECT_FALSE(adding.TryWrite(RowOf(2)));
    adding.OnReady([&] { ++told; });
    // The caller is told only when there is room.
    EXPECT_EQ(told, 0);
    fake.SetRoom(1);
    fake.WaitForCallbacks();
    EXPECT_EQ(told, 1);
    EXPECT_TRUE(adding.TryWrite(RowOf(3)));
    // There is no room again, so this one waits for the end of the stream.
    adding.OnReady([&] { ++told; });
    fake.WaitForCallbacks();
    EXPECT_EQ(told, 1);
  }
  fake.WaitForCallbacks();
  EXPECT_EQ(told, 2);  // the stream is over
  EXPECT_THAT(Numbers(fake.written()), ElementsAre(1, 3));
}

TEST(FakeWriter, WakesAWriterThatWaits) {
  FakeWriter<Row, RowSum> fake(SumOf(2));
  std::promise<void> wrote;
  fake.OnWritten([&](const Row& row) {
    if (row.number() == 1) wrote.set_value();
  });
  fake.SetRoom(1);
  absl::StatusOr<RowSum> sum = SumOf(0);
  std::thread writer([&] {
    ClientWriter<Row, RowSum> adding = fake.Open();
    for (int64_t i = 1; i <= 3; ++i) adding.Write(RowOf(i));
    sum = adding.Finish();
  });
  // The first row has taken all the room: the writer now waits in its second Write, or is about to.
  wrote.get_future().wait();
  fake.SetRoom(FakeCall::kNoLimit);
  writer.join();
  EXPECT_THAT(Numbers(fake.written()), ElementsAre(1, 2, 3));
  ASSERT_TRUE(sum.ok());
  EXPECT_EQ(sum->rows(), 2);
}

TEST(FakeWriter, EndsAWriterThatWaits) {
  FakeWriter<Row, RowSum> fake(SumOf(0));
  fake.SetRoom(0);
  ClientWriter<Row, RowSum> adding = fake.Open();
  // End may come before Write or while it waits. Both must end it.
  auto writing = std::async(std::launch::async, [&] { return adding.Write(RowOf(1)); });
  fake.End(absl::UnavailableError("gone"));
  EXPECT_FALSE(writing.get());
  EXPECT_EQ(adding.Finish().status(), absl::UnavailableError("gone"));
}

TEST(FakeWriter, SaysWhenItWasDropped) {
  FakeWriter<Row, RowSum> fake(SumOf(1));
  {
    ClientWriter<Row, RowSum> adding = fake.Open();
    EXPECT_TRUE(adding.Write(RowOf(1)));
  }
  EXPECT_TRUE(fake.cancelled());
  EXPECT_FALSE(fake.half_closed());
}

TEST(FakeWriter, CallsBack) {
  FakeWriter<Row, RowSum> fake(SumOf(1));
  ClientWriter<Row, RowSum> adding = fake.Open();
  EXPECT_TRUE(adding.TryWrite(RowOf(1)));
  std::optional<absl::StatusOr<RowSum>> sum;
  adding.FinishAsync([&](absl::StatusOr<RowSum> s) { sum = std::move(s); });
  fake.WaitForCallbacks();
  ASSERT_TRUE(sum.has_value() && sum->ok());
  EXPECT_EQ((*sum)->rows(), 1);
}

Coro<absl::StatusOr<RowSum>> AddTwo(ClientWriter<Row, RowSum> adding) {
  for (int64_t i = 1; i <= 2; ++i) {
    const Row row = RowOf(i);
    const bool written = co_await adding.WriteCoro(row);
    if (!written) break;
  }
  co_return co_await adding.FinishCoro();
}

TEST(FakeWriter, ResumesACoroutine) {
  FakeWriter<Row, RowSum> fake(SumOf(2));
  fake.SetRoom(1);
  std::optional<absl::StatusOr<RowSum>> sum;
  Spawn(AddTwo(fake.Open()),
        [&](std::optional<absl::StatusOr<RowSum>> s, std::exception_ptr) { sum = std::move(s); });
  EXPECT_THAT(Numbers(fake.written()), ElementsAre(1));
  // The coroutine has written one row inside Spawn, and waits for room.
  EXPECT_FALSE(sum.has_value());
  fake.SetRoom(1);
  fake.WaitForCallbacks();
  EXPECT_THAT(Numbers(fake.written()), ElementsAre(1, 2));
  ASSERT_TRUE(sum.has_value() && sum->ok());
  EXPECT_EQ((*sum)->rows(), 2);
}

// ---- both ways

TEST(FakeStream, AnswersWhatIsWritten) {
  // A greeting that was pushed before the call is read first.
  FakeStream<Row, Row> fake({RowOf(100)});
  fake.OnWritten([&](const Row& row) { fake.Push(RowOf(10 * row.number())); });
  ClientStream<Row, Row> talk = fake.Open();
  Row row;
  ASSERT_TRUE(talk.Read(&row));
  EXPECT_EQ(row.number(), 100);
  for (int64_t i = 1; i <= 2; ++i) {
    ASSERT_TRUE(talk.Write(RowOf(i)));
    ASSERT_TRUE(talk.Read(&row));
    EXPECT_EQ(row.number(), 10 * i);
  }
  EXPECT_FALSE(fake.ended());
  talk.HalfClose();
  EXPECT_FALSE(talk.Read(&row));
  EXPECT_TRUE(talk.Finish().ok());
  EXPECT_THAT(Numbers(fake.written()), ElementsAre(1, 2));
}

// As over a network, where the status comes behind the last message.
TEST(FakeStream, EndsBehindWhatWaitsToBeRead) {
  FakeStream<Row, Row> fake({}, absl::AbortedError("enough"));
  fake.OnWritten([&](const Row& row) { fake.Push(row); });
  ClientStream<Row, Row> talk = fake.Open();
  EXPECT_TRUE(talk.Write(RowOf(1)));
  EXPECT_TRUE(talk.Write(RowOf(2)));
  talk.HalfClose();
  EXPECT_FALSE(fake.ended());
  EXPECT_THAT(ReadAll(talk), ElementsAre(1, 2));
  EXPECT_TRUE(fake.ended());
  EXPECT_EQ(talk.Finish(), absl::AbortedError("enough"));
}

TEST(FakeStream, EndsBeforeTheHalfCloseWhenTold) {
  FakeStream<Row, Row> fake({RowOf(1)});
  fake.End(absl::UnavailableError("gone"));
  ClientStream<Row, Row> talk = fake.Open();
  EXPECT_THAT(ReadAll(talk), ElementsAre(1));
  EXPECT_FALSE(talk.Write(RowOf(1)));
  EXPECT_EQ(talk.Finish(), absl::UnavailableError("gone"));
  EXPECT_FALSE(fake.half_closed());
}

TEST(FakeStream, MayBeEndedByWhatIsWritten) {
  FakeStream<Row, Row> fake;
  fake.OnWritten([&](const Row& row) {
    if (row.text() == "end") fake.End(absl::OutOfRangeError("as you say"));
  });
  ClientStream<Row, Row> talk = fake.Open();
  EXPECT_TRUE(talk.Write(RowOf(1)));
  Row last;
  last.set_text("end");
  EXPECT_TRUE(talk.Write(last));
  EXPECT_FALSE(talk.Write(RowOf(2)));
  EXPECT_EQ(talk.Finish(), absl::OutOfRangeError("as you say"));
}

TEST(FakeStream, FailsWithMessagesThatWaitToBeRead) {
  FakeStream<Row, Row> fake({RowOf(1), RowOf(2)});
  // A failure does not wait for the caller to read; End would.
  fake.FailAfter(1, absl::DataLossError("torn"));
  ClientStream<Row, Row> talk = fake.Open();
  EXPECT_TRUE(talk.Write(RowOf(1)));
  EXPECT_TRUE(fake.ended());
  EXPECT_THAT(ReadAll(talk), ElementsAre(1, 2));
  EXPECT_EQ(talk.Finish(), absl::DataLossError("torn"));
}

TEST(FakeStream, SaysWhenItWasDropped) {
  FakeStream<Row, Row> fake;
  { ClientStream<Row, Row> talk = fake.Open(); }
  EXPECT_TRUE(fake.cancelled());
}

TEST(FakeStream, EndsWhenItsRestIsDropped) {
  FakeStream<Row, Row> fake;
  std::optional<absl::Status> end;
  ClientStream<Row, Row> talk = fake.Open();
  fake.Push(RowOf(1));
  talk.HalfClose();
  EXPECT_FALSE(fake.ended());
  // Finish gives up the unread row, and with it the end becomes due.
  talk.FinishAsync([&](absl::Status s) { end = std::move(s); });
  fake.WaitForCallbacks();
  EXPECT_EQ(end, absl::OkStatus());
  EXPECT_FALSE(fake.cancelled());
}

TEST(FakeStream, IsReadAndWrittenByTwoThreads) {
  constexpr int64_t kRows = 2000;
  FakeStream<Row, Row> fake;
  fake.OnWritten([&](const Row& row) { fake.Push(row); });
  ClientStream<Row, Row> talk = fake.Open();
  std::thread writer([&] {
    for (int64_t i = 0; i < kRows; ++i) talk.Write(RowOf(i));
    talk.HalfClose();
  });
  const std::vector<int64_t> read = ReadAll(talk);
  writer.join();
  ASSERT_EQ(read.size(), size_t{kRows});
  for (int64_t i = 0; i < kRows; ++i) ASSERT_EQ(read[i], i);
  EXPECT_TRUE(talk.Finish().ok());
}

TEST(FakeStream, IsCancelledWhileItIsReadAndWritten) {
  // Several rounds, since the cancelling meets reader and writer at another step in each.
  for (int round = 0; round < 20; ++round) {
    FakeStream<Row, Row> fake;
    std::promise<void> begun;
    fake.OnWritten([&](const Row& row) {
      if (row.number() == 0) begun.set_value();
      fake.Push(row);
    });
    ClientStream<Row, Row> talk = fake.Open();
    // Without an end of its own: only the cancelling stops it.
    std::thread writer([&] {
      for (int64_t i = 0; talk.Write(RowOf(i)); ++i) {
      }
    });
    std::thread reader([&] { (void)ReadAll(talk); });
    begun.get_future().wait();
    talk.Cancel();
    writer.join();
    reader.join();
    EXPECT_TRUE(fake.cancelled());
    EXPECT_EQ(talk.Finish().code(), absl::StatusCode::kCancelled);
  }
}

// ---- behind a mock

TEST(FakeStreams, AreWhatAMockReturns) {
  // Strict: a call that the test does not expect is a failure.
  testing::StrictMock<MockRowsStub> stub;
  FakeReader<Row> listed({RowOf(1), RowOf(2)});
  FakeWriter<Row, RowSum> added(SumOf(2));
  EXPECT_CALL(stub, List).WillOnce([&](const RowQuery& query, const CallOptions& options) {
    EXPECT_EQ(query.rows(), 2);
    return listed.Open(options);
  });
  EXPECT_CALL(stub, Add).WillOnce([&](const CallOptions& options) { return added.Open(options); });

  // The code under test knows the interface alone.
  Rows::StubInterface& rows = stub;
  RowQuery query;
  query.set_rows(2);
  auto list = rows.List(query, {});
  auto add = rows.Add({});
  Row row;
  while (list.Read(&row)) EXPECT_TRUE(add.Write(row));
  EXPECT_TRUE(list.Finish().ok());
  EXPECT_TRUE(add.Finish().ok());
  EXPECT_THAT(Numbers(added.written()), ElementsAre(1, 2));
}

TEST(FakeStreams, CallBackOnTheCallsExecutor) {
  WorkerPoolOptions options;
  options.threads = 1;
  // Before the stream, whose callbacks run on it.
  const auto pool = WorkerPool::Create(options);
  ASSERT_TRUE(pool.ok());
  FakeReader<Row> fake;
  ClientReader<Row> rows = fake.Open({.executor = pool->get()});
  Row row;
  std::promise<std::pair<bool, Executor*>> read;
  rows.ReadAsync(&row, [&](bool more) { read.set_value({more, Executor::Current()}); });
  fake.Push(RowOf(1));
  const auto [more, where] = read.get_future().get();
  EXPECT_TRUE(more);
  EXPECT_EQ(where, pool->get());
}

}  // namespace
}  // namespace weft::test
