#include "tests/history/stream_services.h"

#include <atomic>
#include <chrono>
#include <coroutine>
#include <thread>

#include "tests/history/history_services.h"

namespace weft::test {
namespace {

// Lets a coroutine that is through wait for another one.
class BothParts {
 public:
  // The other one is through.
  void Other() {
    if (left_.fetch_sub(1) == 1) awaiter_.resume();
  }
  bool await_ready() const { return false; }
  bool await_suspend(std::coroutine_handle<> awaiter) {
    awaiter_ = awaiter;
    return left_.fetch_sub(1) > 1;
  }
  void await_resume() {}

 private:
  std::atomic<int> left_{2};
  std::coroutine_handle<> awaiter_;
};

}  // namespace

StreamExecution::StreamExecution(HistorySink& history, ServerContext& call, CallStyle style)
    : history_(history) {
  const auto text = call.metadata().Get(StreamScript::kMetadataKey);
  // Key -1 belongs to no call.
  script_ = StreamScript::FromText(text.value_or("")).value_or(StreamScript{.key = -1});
  history_.OnExecuted(static_cast<size_t>(script_.key), style);
}

bool StreamExecution::OnRead(bool more) {
  if (!more) {
    tally_.whole = true;
    return false;
  }
  if (!script_.IsRequest(in_, tally_.received)) tally_.in_order = false;
  ++tally_.received;
  if (script_.slow) std::this_thread::sleep_for(std::chrono::microseconds(100));
  return true;
}

bool StreamExecution::OnWritten(bool written) {
  if (!written) {
    stopped_ = true;
    return false;
  }
  ++tally_.sent;
  if (script_.slow) std::this_thread::sleep_for(std::chrono::microseconds(100));
  return true;
}

absl::Status StreamExecution::End() {
  absl::Status status;
  if (stopped_) {
    status = absl::DataLossError("nobody reads");  // nobody hears this
  } else if (script_.fails) {
    status = absl::AbortedError(FailureOf(script_.key));
  }
  history_.OnServed(static_cast<size_t>(script_.key), tally_, status.code());
  return status;
}

// ---- blocking

absl::Status BlockingStreamService::Add(ServerContext& call, ServerReader<Row>& rows, RowSum& sum) {
  StreamExecution run(history_, call, CallStyle::kBlocking);
  CallBack(history_, call, run.back());
  while (run.wants_more() && run.OnRead(rows.Read(&run.in()))) AddToSum(run.in(), &sum);
  return run.End();
}

absl::Status BlockingStreamService::List(ServerContext& call, RowQuery&, ServerWriter<Row>& rows) {
  StreamExecution run(history_, call, CallStyle::kBlocking);
  CallBack(history_, call, run.back());
  while (run.writes_more() && run.OnWritten(rows.Write(run.out()))) {
  }
  return run.End();
}

absl::Status BlockingStreamService::Talk(ServerContext& call, ServerStream<Row, Row>& stream) {
  StreamExecution run(history_, call, CallStyle::kBlocking);
  CallBack(history_, call, run.back());
  const auto write_all = [&] {
    while (run.talks_more() && run.OnWritten(stream.Write(run.out()))) {
    }
  };
  using Order = StreamScript::Order;
  const Order order = run.script().order;
  std::thread writer;
  if (order == Order::kAtOnce) writer = std::thread(write_all);
  if (order == Order::kRepliesFirst) write_all();
  while (run.wants_more() && run.OnRead(stream.Read(&run.in()))) {
    if (order == Order::kInTurn && !run.OnWritten(stream.Write(run.out()))) break;
  }
  if (order == Order::kRepliesLast) write_all();
  if (writer.joinable()) writer.join();
  return run.End();
}

// ---- coroutines. Each co_await stands alone: where one stands behind && in a loop's condition,
// gcc 12 makes code that does not test what stands before it.

Coro<absl::Status> CoroStreamService::Add(ServerContext& call, ServerReader<Row>& rows,
                                          RowSum& sum) {
  StreamExecution run(history_, call, CallStyle::kCoroutine);
  (void)co_await CallBackCoro(history_, call, run.back());
  while (run.wants_more()) {
    const bool more = co_await rows.ReadCoro(&run.in());
    if (!run.OnRead(more)) break;
    AddToSum(run.in(), &sum);
  }
  co_return run.End();
}

Coro<absl::Status> CoroStreamService::List(ServerContext& call, RowQuery&,
                                           ServerWriter<Row>& rows) {
  StreamExecution run(history_, call, CallStyle::kCoroutine);
  (void)co_await CallBackCoro(history_, call, run.back());
  while (run.writes_more()) {
    const bool written = co_await rows.WriteCoro(run.out());
    if (!run.OnWritten(written)) break;
  }
  co_return run.End();
}

Coro<bool> CoroStreamService::Reply(StreamExecution& run, ServerStream<Row, Row>& stream) {
  const bool written = co_await stream.WriteCoro(run.out());
  co_return run.OnWritten(written);
}

Coro<bool> CoroStreamService::ReplyAll(StreamExecution& run, ServerStream<Row, Row>& stream) {
  bool open = true;
  while (open && run.talks_more()) open = co_await Reply(run, stream);
  co_return open;
}

Coro<absl::Status> CoroStreamService::Talk(ServerContext& call, ServerStream<Row, Row>& stream) {
  StreamExecution run(history_, call, CallStyle::kCoroutine);
  (void)co_await CallBackCoro(history_, call, run.back());
  using Order = StreamScript::Order;
  const Order order = run.script().order;
  bool open = true;
  BothParts parts;
  if (order == Order::kRepliesFirst) open = co_await ReplyAll(run, stream);
  if (order == Order::kAtOnce)
    Spawn(ReplyAll(run, stream), [&parts](auto, auto) { parts.Other(); });
  while (open && run.wants_more()) {
    const bool more = co_await stream.ReadCoro(&run.in());
    if (!run.OnRead(more)) break;
    if (order == Order::kInTurn) open = co_await Reply(run, stream);
  }
  if (order == Order::kRepliesLast) open = co_await ReplyAll(run, stream);
  if (order == Order::kAtOnce) co_await parts;
  co_return run.End();
}

}  // namespace weft::test
