// The service of the walk through a server's calls, in three styles: handlers that stop where the
// test wants them, and say how often they were entered, cancelled and left.
//
// Threads  any; what a test sets is set while no handler runs
#ifndef WEFT_TESTS_RPC_PROTOCOL_NATIVE_WALKED_ROWS_H_
#define WEFT_TESTS_RPC_PROTOCOL_NATIVE_WALKED_ROWS_H_

#include <atomic>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "tests/protos/rows.weft.h"
#include "tests/support/watched.h"
#include "weft/core/coro.h"

namespace weft::test {

// The script of handlers: wait at the gate, read all that there is, write some rows.
struct RowsScript {
  struct Counts {
    bool open = true;  // the gate
    int entered = 0, cancelled = 0, left = 0;
    int64_t read = 0;
  };
  Watched<Counts> counts;
  std::atomic<int64_t> rows_to_write{0};

  void SetGate(bool open) {
    counts.Update([&](Counts& c) { c.open = open; });
  }
  bool AllLeft() {
    return counts.WaitFor([](const Counts& c) { return c.left == c.entered; });
  }
};

// One handler's stay.
class RowsVisit {
 public:
  RowsVisit(RowsScript& script, ServerContext& call)
      : script_(script), call_(call), on_cancel_(call.stop_token(), Cancelled{script}) {
    script_.counts.Update([](auto& c) { ++c.entered; });
  }
  ~RowsVisit() {
    script_.counts.Update([](auto& c) { ++c.left; });
  }
  void Gate() {
    // A cancelled handler goes on, or a test that ends early would wait for it for ever.
    EXPECT_TRUE(script_.counts.WaitFor([&](const auto& c) { return c.open || call_.cancelled(); }));
  }
  void HasRead() {
    script_.counts.Update([](auto& c) { ++c.read; });
  }
  int64_t rows() const { return script_.rows_to_write.load(); }
  static Row RowToWrite() {
    Row row;
    // So large that the window of a stream in the walk holds only a few.
    row.set_text(std::string(900, 'w'));
    return row;
  }
  absl::Status End() const {
    return call_.cancelled() ? absl::CancelledError("seen by the handler") : absl::OkStatus();
  }

 private:
  struct Cancelled {
    RowsScript& script;
    void operator()() const {
      script.counts.Update([](auto& c) { ++c.cancelled; });
    }
  };
  RowsScript& script_;
  ServerContext& call_;
  std::stop_callback<Cancelled> on_cancel_;
};

class BlockingWalkedRows final : public Rows::Service {
 public:
  explicit BlockingWalkedRows(RowsScript& script) : script_(script) {}

  absl::Status Get(ServerContext& call, RowQuery&, Row&) override {
    RowsVisit visit(script_, call);
    visit.Gate();
    return visit.End();
  }
  absl::Status Add(ServerContext& call, ServerReader<Row>& rows, RowSum&) override {
    RowsVisit visit(script_, call);
    visit.Gate();
    Row row;
    while (rows.Read(&row)) visit.HasRead();
    return visit.End();
  }
  absl::Status List(ServerContext& call, RowQuery&, ServerWriter<Row>& rows) override {
    RowsVisit visit(script_, call);
    visit.Gate();
    for (int64_t i = 0; i < visit.rows() && rows.Write(RowsVisit::RowToWrite()); ++i) {
    }
    return visit.End();
  }
  absl::Status Talk(ServerContext& call, ServerStream<Row, Row>& stream) override {
    RowsVisit visit(script_, call);
    visit.Gate();
    Row row;
    while (stream.Read(&row)) visit.HasRead();
    for (int64_t i = 0; i < visit.rows() && stream.Write(RowsVisit::RowToWrite()); ++i) {
    }
    return visit.End();
  }

 private:
  RowsScript& script_;
};

class CoroutineWalkedRows final : public Rows::CoroService {
 public:
  explicit CoroutineWalkedRows(RowsScript& script) : script_(script) {}

  Coro<absl::Status> Get(ServerContext& call, RowQuery&, Row&) override {
    RowsVisit visit(script_, call);
    visit.Gate();
    co_return visit.End();
  }
  Coro<absl::Status> Add(ServerContext& call, ServerReader<Row>& rows, RowSum&) override {
    RowsVisit visit(script_, call);
    visit.Gate();
    Row row;
    while (co_await rows.ReadCoro(&row)) visit.HasRead();
    co_return visit.End();
  }
  Coro<absl::Status> List(ServerContext& call, RowQuery&, ServerWriter<Row>& rows) override {
    RowsVisit visit(script_, call);
    visit.Gate();
    const Row row = RowsVisit::RowToWrite();
    for (int64_t i = 0; i < visit.rows(); ++i) {
      if (!co_await rows.WriteCoro(row)) break;
    }
    co_return visit.End();
  }
  Coro<absl::Status> Talk(ServerContext& call, ServerStream<Row, Row>& stream) override {
    RowsVisit visit(script_, call);
    visit.Gate();
    Row row;
    while (co_await stream.ReadCoro(&row)) visit.HasRead();
    row = RowsVisit::RowToWrite();
    for (int64_t i = 0; i < visit.rows(); ++i) {
      if (!co_await stream.WriteCoro(row)) break;
    }
    co_return visit.End();
  }

 private:
  RowsScript& script_;
};

// By callbacks.
class AnsweringWalkedRows final : public Rows::AsyncService {
 public:
  explicit AnsweringWalkedRows(RowsScript& script) : script_(script) {}

  void Get(ServerContext& call, RowQuery&, Responder<Row> responder) override {
    // The visit ends before Finish: after it the call, which the visit refers to, may be gone.
    absl::Status end;
    {
      RowsVisit visit(script_, call);
      visit.Gate();
      end = visit.End();
    }
    responder.Finish(end);
  }
  void Add(ServerContext& call, AsyncServerReader<Row, RowSum> rows) override {
    const auto stay = Begin(std::move(rows), call);
    ReadAll(stay, [](auto s) { Finish(*s); });
  }
  void List(ServerContext& call, RowQuery&, AsyncServerWriter<Row> rows) override {
    WriteAll(Begin(std::move(rows), call), 0);
  }
  void Talk(ServerContext& call, AsyncServerStream<Row, Row> stream) override {
    ReadAll(Begin(std::move(stream), call), [](auto s) { WriteAll(s, 0); });
  }

 private:
  template <typename Stream>
  struct Stay {
    Stream stream;
    std::unique_ptr<RowsVisit> visit;
    Row row;
  };
  template <typename Stream>
  std::shared_ptr<Stay<Stream>> Begin(Stream stream, ServerContext& call) {
    auto stay = std::make_shared<Stay<Stream>>(
        Stay<Stream>{std::move(stream), std::make_unique<RowsVisit>(script_, call), Row()});
    stay->visit->Gate();
    return stay;
  }
  template <typename Stream, typename Then>
  static void ReadAll(std::shared_ptr<Stay<Stream>> s, Then then) {
    s->stream.ReadAsync(&s->row, [s, then](bool more) {
      if (!more) {
        then(s);
        return;
      }
      s->visit->HasRead();
      ReadAll(s, then);
    });
  }
  template <typename Stream>
  static void WriteAll(std::shared_ptr<Stay<Stream>> s, int64_t written) {
    while (written < s->visit->rows() && !s->stream.ended()) {
      if (!s->stream.TryWrite(RowsVisit::RowToWrite())) {
        s->stream.OnReady([s, written] { WriteAll(s, written); });
        return;
      }
      ++written;
    }
    Finish(*s);
  }
  template <typename Stream>
  static void Finish(Stay<Stream>& s) {
    // The visit goes first, as in Get.
    const absl::Status end = s.visit->End();
    s.visit.reset();
    s.stream.Finish(end);
  }

  RowsScript& script_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_RPC_PROTOCOL_NATIVE_WALKED_ROWS_H_
