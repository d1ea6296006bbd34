// Blocking handlers that write to clients which do not read: how long they wait, and how many.
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/protos/rows.weft.h"
#include "weft/core/in_process_network.h"
#include "weft/core/manual_clock.h"
#include "weft/core/worker_pool.h"

namespace weft::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr CallOptions kLong{.timeout = absl::InfiniteDuration()};

// Writes rows of 1 KiB as long as they are taken.
class PouringRows final : public Rows::Service {
 public:
  Watched<int> poured{0};  // List handlers that have returned

  absl::Status Get(ServerContext&, RowQuery&, Row&) override { return absl::OkStatus(); }
  absl::Status List(ServerContext&, RowQuery& query, ServerWriter<Row>& rows) override {
    Row row;
    row.set_data(std::string(1 << 10, 'x'));
    int64_t left = query.rows();
    while (left > 0 && rows.Write(row)) --left;
    poured.Update([](int& n) { ++n; });
    return absl::OkStatus();
  }
};

// Handlers that write to a client that does not read, in time that the test moves.
class WriteWait : public testing::Test {
 protected:
  void Begin(int workers, ServerOptions options = {}) {
    network_ = InProcessNetwork::Create({});
    runtime_ = RuntimeOf({.worker_threads = workers, .clock = &clock_});
    options.runtime = runtime_;
    options.network = network_;
    server_ = std::make_unique<Server>(options);
    ASSERT_EQ(server_->Register(service_), absl::OkStatus());
    ASSERT_EQ(server_->Start("inproc:rows"), absl::OkStatus());
    ChannelOptions channel;
    channel.network = network_;
    channel.limits.stream_window_bytes = 64 << 10;
    channel_ = ChannelTo("inproc:rows", channel);
    stub_.emplace(*channel_);
  }
  // A stream of many rows, of which none is read.
  ClientReader<Row> Unread() {
    RowQuery query;
    query.set_rows(kRows);
    return stub_->List(query, kLong);
  }
  [[nodiscard]] bool Waiting(int threads) {
    return PollUntil([&] { return (*runtime_->workers())->peer_waits().count() == threads; });
  }
  static int64_t ReadAll(ClientReader<Row>& rows) {
    Row row;
    int64_t read = 0;
    while (rows.Read(&row)) ++read;
    return read;
  }

  // 200 KiB, three times the stream's window: a handler stands still unless somebody reads.
  static constexpr int64_t kRows = 200;
  ManualClock clock_;
  PouringRows service_;
  std::shared_ptr<InProcessNetwork> network_;
  std::shared_ptr<Runtime> runtime_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Channel> channel_;
  std::optional<Rows::Stub> stub_;
};

TEST_F(WriteWait, AWriteThatGetsNoCreditForSoLongEndsItsCall) {
  Begin(/*workers=*/4);
  ClientReader<Row> rows = Unread();
  ASSERT_TRUE(Waiting(1));
  // A second before and a second behind the default max_write_wait of 30 s.
  clock_.Advance(absl::Seconds(29));
  EXPECT_EQ(service_.poured.Get(), 0);
  clock_.Advance(absl::Seconds(2));
  ASSERT_TRUE(service_.poured.WaitForValue(1));
  EXPECT_LT(ReadAll(rows), kRows);
  EXPECT_THAT(rows.Finish(),
              IsStatus(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("a blocking write of the handler waited for 30000.0 ms"),
                             HasSubstr("(max_write_wait of the server)"))));
  EXPECT_TRUE(Waiting(0));
}

TEST_F(WriteWait, AReaderThatReadsInTimeGetsEverything) {
  Begin(/*workers=*/4);
  ClientReader<Row> rows = Unread();
  ASSERT_TRUE(Waiting(1));
  // A second before the limit of one write, which begins anew with each.
  clock_.Advance(absl::Seconds(29));
  EXPECT_EQ(ReadAll(rows), kRows);
  EXPECT_EQ(rows.Finish(), absl::OkStatus());
}

TEST_F(WriteWait, TheLimitIsTheServersToSetAndZeroIsNone) {
  ServerOptions options;
  options.max_write_wait = absl::ZeroDuration();
  Begin(/*workers=*/1, options);
  ClientReader<Row> rows = Unread();
  ASSERT_TRUE(Waiting(1));
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(service_.poured.Get(), 0);
  EXPECT_EQ(ReadAll(rows), kRows);
  EXPECT_EQ(rows.Finish(), absl::OkStatus());
}

TEST_F(WriteWait, AtMostHalfOfThePoolWaitsAndOthersAreServed) {
  Begin(/*workers=*/4);
  std::vector<ClientReader<Row>> unread;
  // A handler for each worker: two may wait, and two are refused at once.
  for (int i = 0; i < 4; ++i) unread.push_back(Unread());
  ASSERT_TRUE(service_.poured.WaitForValue(2));
  ASSERT_TRUE(Waiting(2));
  EXPECT_EQ(stub_->Get({}, {.timeout = absl::Seconds(20)}).status(), absl::OkStatus());
  int whole = 0, refused = 0;
  for (ClientReader<Row>& rows : unread) {
    const int64_t read = ReadAll(rows);
    const absl::Status end = rows.Finish();
    if (end.ok()) {
      EXPECT_EQ(read, kRows);
      ++whole;
    } else {
      EXPECT_THAT(end,
                  IsStatus(absl::StatusCode::kResourceExhausted,
                           AllOf(HasSubstr("2 handlers of the pool wait for such readers already: "
                                           "half of its 4 threads (worker_threads"))));
      ++refused;
    }
  }
  EXPECT_EQ(whole, 2);
  EXPECT_EQ(refused, 2);
  EXPECT_TRUE(Waiting(0));
}

TEST_F(WriteWait, TheThreadOfAPoolOfOneMayWait) {
  Begin(/*workers=*/1);
  ClientReader<Row> rows = Unread();
  ASSERT_TRUE(Waiting(1));
  // Waits behind the handler that holds the only thread.
  auto waits = std::async(std::launch::async, [&] { return stub_->Get({}, kLong).status(); });
  clock_.Advance(absl::Seconds(31));
  EXPECT_EQ(waits.get(), absl::OkStatus());
  (void)ReadAll(rows);
  EXPECT_THAT(rows.Finish(), HasCode(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace weft::test
