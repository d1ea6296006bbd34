// Streams from several servers, read as one: over connections in memory, see members.h.
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/integration/members.h"
#include "tests/integration/stack.h"
#include "weft/rpc/broadcast.h"

namespace weft::test {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;

constexpr BroadcastOptions kLong{.timeout = absl::InfiniteDuration()};

RowQuery Asking(int64_t rows) {
  RowQuery query;
  query.set_rows(rows);
  return query;
}

absl::Status EndsWhenCancelled(ServerContext& call) {
  EXPECT_TRUE(PollUntil([&] { return call.cancelled(); }));
  return absl::CancelledError("seen by the handler");
}

TEST(BroadcastStreams, EachPeersRowsComeInTheirOrder) {
  Members members(3);
  BroadcastReader<Row> rows = BroadcastStream(members, Rows::kList, Asking(500), kLong);
  std::map<std::string, int64_t> next;
  PeerItem<Row> one;
  // Rows of different peers come mixed; those of one peer in their order.
  while (rows.Next(&one)) ASSERT_EQ(one.message.number(), next[one.peer]++);
  EXPECT_EQ(next, (std::map<std::string, int64_t>{{"b", 500}, {"c", 500}, {"d", 500}}));
  const BroadcastStreamResult end = rows.Finish();
  EXPECT_EQ(end.status, absl::OkStatus());
  ASSERT_EQ(end.peers.size(), 3u);
  for (const auto& peer : end.peers) EXPECT_EQ(peer.status, absl::OkStatus());
}

TEST(BroadcastStreams, AreReadWithCallbacks) {
  Members members(3);
  BroadcastReader<Row> rows = BroadcastStream(members, Rows::kList, Asking(100), kLong);
  PeerItem<Row> one;
  int64_t sum = 0;
  Awaited<int64_t> done;
  std::function<void(bool)> take = [&](bool more) {
    if (!more) {
      done.Add(sum);
      return;
    }
    sum += one.message.number();
    rows.NextAsync(&one, take);
  };
  rows.NextAsync(&one, take);
  // The sum of 0 to 99, from three members.
  EXPECT_EQ(done.Wait(), 3 * 99 * 100 / 2);
}

Coro<int64_t> Sum(BroadcastReader<Row>& rows) {
  PeerItem<Row> one;
  int64_t sum = 0;
  while (co_await rows.NextCoro(&one)) sum += one.message.number();
  co_return sum;
}

TEST(BroadcastStreams, AreReadByACoroutine) {
  Members members(3);
  BroadcastReader<Row> rows = BroadcastStream(members, Rows::kList, Asking(100), kLong);
  Awaited<int64_t> done;
  Spawn(Sum(rows), [&](std::optional<int64_t> sum, std::exception_ptr) { done.Add(*sum); });
  EXPECT_EQ(done.Wait(), 3 * 99 * 100 / 2);
}

TEST(BroadcastStreams, OneWhoFailsEndsTheOthers) {
  Members members(3);
  members.rows(0).end = EndsWhenCancelled;
  members.rows(1).end = [](ServerContext&) { return absl::DataLossError("a bad block"); };
  members.rows(2).end = EndsWhenCancelled;
  BroadcastReader<Row> rows = BroadcastStream(members, Rows::kList, Asking(3), kLong);
  PeerItem<Row> one;
  int read = 0;
  while (rows.Next(&one)) ++read;
  // All rows of c come before its error. The rows of b and d count as far as they were read by
  // then.
  EXPECT_GE(read, 3);
  const BroadcastStreamResult end = rows.Finish();
  EXPECT_EQ(end.status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(std::string(end.status.message()), HasSubstr("0 of 3 ended well, 3 needed: c: "));
}

TEST(BroadcastStreams, EachIsReadToItsEndWhereAllAreWanted) {
  Members members(3);
  // c cannot be reached; the other two are read to their ends all the same.
  members.Stop(1);
  BroadcastReader<Row> rows =
      BroadcastStream(members, Rows::kList, Asking(10),
                      {.want = Want::Each(), .timeout = absl::InfiniteDuration()});
  PeerItem<Row> one;
  int read = 0;
  while (rows.Next(&one)) ++read;
  EXPECT_EQ(read, 20);
  const BroadcastStreamResult end = rows.Finish();
  EXPECT_EQ(end.status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(end.peers[0].status, absl::OkStatus());
  EXPECT_EQ(end.peers[1].status.code(), StatusCode::kUnavailable);
}

TEST(BroadcastStreams, WhatNobodyReadsIsHeldBack) {
  Members members(2);
  // A row costs at least 16 bytes of credit, and a stream's window is 256 KiB.
  constexpr int64_t kMany = 1'000'000;
  {
    BroadcastReader<Row> rows = BroadcastStream(members, Rows::kList, Asking(kMany), kLong);
    PeerItem<Row> one;
    ASSERT_TRUE(rows.Next(&one));
    // Both fill their windows, and go no further.
    for (int i = 0; i < 2; ++i) {
      EXPECT_TRUE(members.rows(i).written.WaitFor([](int64_t n) { return n > 1'000; }));
    }
  }
  // The reader is gone, so the handlers' writes have failed by now or will soon.
  for (int i = 0; i < 2; ++i) EXPECT_LT(members.rows(i).written.Get(), kMany);
}

TEST(BroadcastStreams, FinishDropsWhatWasNotRead) {
  Members members(2);
  BroadcastReader<Row> rows = BroadcastStream(members, Rows::kList, Asking(100), kLong);
  PeerItem<Row> one;
  // 100 rows fit into a stream's window: both servers come to their end without a reader.
  ASSERT_TRUE(rows.Next(&one));
  EXPECT_EQ(rows.Finish().status, absl::OkStatus());
}

TEST(BroadcastStreams, AreCancelledByTheirContextAndCarryItsMetadata) {
  Members members(2);
  Watched<int> tenants{0};
  for (int i = 0; i < 2; ++i) {
    members.rows(i).end = [&](ServerContext& call) {
      if (call.metadata().Get("tenant") == "blue") tenants.Update([](int& n) { ++n; });
      return EndsWhenCancelled(call);
    };
  }
  ClientContext context;
  ASSERT_TRUE(context.metadata().Add("tenant", "blue").ok());
  BroadcastReader<Row> rows = BroadcastStream(
      members, Rows::kList, Asking(1), {.timeout = absl::InfiniteDuration(), .context = &context});
  PeerItem<Row> one;
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(rows.Next(&one));
  ASSERT_TRUE(tenants.WaitForValue(2));
  context.Cancel();
  EXPECT_FALSE(rows.Next(&one));
  EXPECT_EQ(rows.Finish().status.code(), StatusCode::kCancelled);
}

TEST(BroadcastStreams, WhatCannotBeWantedEndsAtOnce) {
  Members members(2);
  BroadcastReader<Row> rows =
      BroadcastStream(members, Rows::kList, Asking(1), {.want = Want::AtLeast(9)});
  PeerItem<Row> one;
  EXPECT_FALSE(rows.Next(&one));
  EXPECT_EQ(rows.Finish().status.code(), StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace weft::test
