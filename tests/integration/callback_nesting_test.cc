// A million messages in each style that does not block, on either side: the callbacks and
// coroutines that take them do not nest, however many messages are there already.
#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "tests/integration/stack.h"
#include "tests/protos/rows.weft.h"
#include "weft/core/in_process_network.h"
#include "weft/rpc/testing/fake_streams.h"

namespace weft::test {
namespace {

// A tenth with a sanitizer, under which each message takes so much longer.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int64_t kRows = 100'000;
#else
constexpr int64_t kRows = 1'000'000;
#endif

Row RowOf(int64_t number) {
  Row row;
  row.set_number(number);
  return row;
}

// How deep code of the user's nests on any thread.
class Depth {
 public:
  class Enter {
   public:
    explicit Enter(Depth& depth) {
      const int here = ++current;
      int most = depth.most_.load();
      while (most < here && !depth.most_.compare_exchange_weak(most, here)) {
      }
    }
    ~Enter() { --current; }
  };
  int most() const { return most_; }

 private:
  static inline thread_local int current = 0;
  std::atomic<int> most_{0};
};

// Reads to the end with callbacks that read on.
template <typename Stream>
struct CallbackReader : std::enable_shared_from_this<CallbackReader<Stream>> {
  CallbackReader(Stream s, Depth& d, std::function<void(Stream&, int64_t)> at_end)
      : stream(std::move(s)), depth(d), end(std::move(at_end)) {}
  void Next() {
    // The callback keeps the reader alive. The last one, at the end, lets go of it.
    stream.ReadAsync(&row, [self = this->shared_from_this()](bool more) {
      const Depth::Enter enter(self->depth);
      if (!more) return self->end(self->stream, self->rows);
      ++self->rows;
      self->Next();
    });
  }
  Stream stream;
  Depth& depth;
  std::function<void(Stream&, int64_t)> end;
  Row row;
  int64_t rows = 0;
};

// Writes rows, one in each callback that says that there is room.
template <typename Stream>
struct CallbackWriter : std::enable_shared_from_this<CallbackWriter<Stream>> {
  CallbackWriter(Stream s, Depth& d, std::function<void(Stream&)> at_end)
      : stream(std::move(s)), depth(d), end(std::move(at_end)) {}
  void Next() {
    stream.OnReady([self = this->shared_from_this()] {
      const Depth::Enter enter(self->depth);
      if (self->written == kRows || self->stream.ended()) return self->end(self->stream);
      if (self->stream.TryWrite(RowOf(self->written))) ++self->written;
      self->Next();
    });
  }
  Stream stream;
  Depth& depth;
  std::function<void(Stream&)> end;
  int64_t written = 0;
};

// Reads and writes with callbacks.
class CallbackRows final : public Rows::AsyncService {
 public:
  explicit CallbackRows(Depth& depth) : depth_(depth) {}
  void Add(ServerContext&, AsyncServerReader<Row, RowSum> rows) override {
    using Stream = AsyncServerReader<Row, RowSum>;
    std::make_shared<CallbackReader<Stream>>(std::move(rows), depth_,
                                             [](Stream& stream, int64_t count) {
                                               stream.reply().set_rows(count);
                                               stream.Finish();
                                             })
        ->Next();
  }
  void List(ServerContext&, RowQuery&, AsyncServerWriter<Row> rows) override {
    using Stream = AsyncServerWriter<Row>;
    std::make_shared<CallbackWriter<Stream>>(std::move(rows), depth_, [](Stream& stream) {
      stream.Finish();
    })->Next();
  }

 private:
  Depth& depth_;
};

// Each step of a coroutine is user's code as well: it must not be resumed inside another one's.
// Depth cannot be counted here, but a million nested steps would overflow any stack.
class CoroRows final : public Rows::CoroService {
 public:
  Coro<absl::Status> Add(ServerContext&, ServerReader<Row>& rows, RowSum& sum) override {
    Row row;
    for (;;) {
      const bool more = co_await rows.ReadCoro(&row);
      if (!more) break;
      sum.set_rows(sum.rows() + 1);
    }
    co_return absl::OkStatus();
  }
  Coro<absl::Status> List(ServerContext&, RowQuery& query, ServerWriter<Row>& rows) override {
    for (int64_t i = 0; i < query.rows(); ++i) {
      const bool written = co_await WriteOne(rows, i);
      if (!written) break;
    }
    co_return absl::OkStatus();
  }

 private:
  // A coroutine of its own for each row, most of which need not wait.
  static Coro<bool> WriteOne(ServerWriter<Row>& rows, int64_t number) {
    const Row row = RowOf(number);
    co_return co_await rows.WriteCoro(row);
  }
};

class CallbackNesting : public testing::Test {
 protected:
  void Begin(Service& service) {
    network_ = InProcessNetwork::Create({});
    server_ = std::make_unique<Server>(ServerOptions{.network = network_});
    ASSERT_EQ(server_->Register(service), absl::OkStatus());
    ASSERT_EQ(server_->Start("inproc:rows"), absl::OkStatus());
    channel_ = ChannelTo("inproc:rows", {.network = network_});
    stub_.emplace(*channel_);
  }

  static constexpr CallOptions kLong{.timeout = absl::Minutes(2)};
  Depth depth_;
  std::shared_ptr<InProcessNetwork> network_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Channel> channel_;
  std::optional<Rows::Stub> stub_;
};

TEST_F(CallbackNesting, AClientThatWritesToAServerThatReadsBothByCallback) {
  CallbackRows service(depth_);
  Begin(service);
  using Stream = ClientWriter<Row, RowSum>;
  Watched<std::optional<absl::StatusOr<RowSum>>> sum;
  auto writer =
      std::make_shared<CallbackWriter<Stream>>(stub_->Add(kLong), depth_, [&](Stream& stream) {
        stream.FinishAsync([&](absl::StatusOr<RowSum> s) { sum.Set(std::move(s)); });
      });
  writer->Next();
  ASSERT_TRUE(sum.WaitFor([](const auto& s) { return s.has_value(); }));
  ASSERT_TRUE((*sum.Get()).ok()) << (*sum.Get()).status();
  EXPECT_EQ((**sum.Get()).rows(), kRows);
  EXPECT_EQ(depth_.most(), 1);
  server_->Stop();
}

TEST_F(CallbackNesting, AServerThatWritesToAClientThatReadsBothByCallback) {
  CallbackRows service(depth_);
  Begin(service);
  using Stream = ClientReader<Row>;
  Watched<int64_t> read{-1};
  std::make_shared<CallbackReader<Stream>>(stub_->List({}, kLong), depth_,
                                           [&](Stream&, int64_t count) { read.Set(count); })
      ->Next();
  ASSERT_TRUE(read.WaitFor([](int64_t n) { return n >= 0; }));
  EXPECT_EQ(read.Get(), kRows);
  EXPECT_EQ(depth_.most(), 1);
}

Coro<absl::StatusOr<RowSum>> AddAll(Rows::Stub& stub, CallOptions options) {
  ClientWriter<Row, RowSum> adding = stub.Add(options);
  for (int64_t i = 0; i < kRows; ++i) {
    const Row row = RowOf(i);
    const bool written = co_await adding.WriteCoro(row);
    if (!written) break;
  }
  co_return co_await adding.FinishCoro();
}

TEST_F(CallbackNesting, CoroutinesOnBothSidesThatWriteAndRead) {
  CoroRows service;
  Begin(service);
  Watched<int64_t> rows{-1};
  Spawn(AddAll(*stub_, kLong), [&](std::optional<absl::StatusOr<RowSum>> sum, std::exception_ptr) {
    rows.Set(sum.has_value() && sum->ok() ? (*sum)->rows() : 0);
  });
  ASSERT_TRUE(rows.WaitFor([](int64_t n) { return n >= 0; }));
  EXPECT_EQ(rows.Get(), kRows);
}

Coro<bool> ReadOne(ClientReader<Row>& rows, Row* row) { co_return co_await rows.ReadCoro(row); }

Coro<int64_t> ListAll(Rows::Stub& stub, CallOptions options) {
  RowQuery query;
  query.set_rows(kRows);
  ClientReader<Row> rows = stub.List(query, options);
  Row row;
  int64_t read = 0;
  for (;;) {
    const bool more = co_await ReadOne(rows, &row);
    if (!more) break;
    ++read;
  }
  co_return read;
}

TEST_F(CallbackNesting, CoroutinesOnBothSidesWithOneForEachMessage) {
  CoroRows service;
  Begin(service);
  Watched<int64_t> rows{-1};
  Spawn(ListAll(*stub_, kLong),
        [&](std::optional<int64_t> read, std::exception_ptr) { rows.Set(read.value_or(0)); });
  ASSERT_TRUE(rows.WaitFor([](int64_t n) { return n >= 0; }));
  EXPECT_EQ(rows.Get(), kRows);
}

TEST_F(CallbackNesting, AFakeThatHasAllMessagesThereAlready) {
  FakeReader<Row> fake;
  using Stream = ClientReader<Row>;
  Stream rows = fake.Open();
  for (int64_t i = 0; i < kRows / 10; ++i) fake.Push(RowOf(i));
  fake.End(absl::OkStatus());
  Watched<int64_t> read{-1};
  std::make_shared<CallbackReader<Stream>>(std::move(rows), depth_, [&](Stream&, int64_t count) {
    read.Set(count);
  })->Next();
  ASSERT_TRUE(read.WaitFor([](int64_t n) { return n >= 0; }));
  EXPECT_EQ(read.Get(), kRows / 10);
  EXPECT_EQ(depth_.most(), 1);
}

// Each callback makes the next call, which fails at once because its deadline has passed.
TEST_F(CallbackNesting, CallsThatFailAtOnceMadeInTheCallbackOfTheOneBefore) {
  CoroRows service;
  Begin(service);
  constexpr int kCalls = 20'000;
  Watched<int> ended{0};
  int calls = 0;
  std::function<void()> next = [&] {
    stub_->GetAsync({}, {.timeout = -absl::Seconds(1)}, [&](absl::StatusOr<Row>) {
      const Depth::Enter enter(depth_);
      if (++calls < kCalls) {
        next();
      } else {
        ended.Set(calls);
      }
    });
  };
  next();
  ASSERT_TRUE(ended.WaitForValue(kCalls));
  EXPECT_EQ(depth_.most(), 1);
}

}  // namespace
}  // namespace weft::test
