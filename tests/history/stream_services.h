// Streaming services that tell a history of every call they execute: handlers that block, and
// coroutines. Handlers do as their caller's StreamScript says.
//
// Threads  as Service
// Owns     nothing: the history outlives them
#ifndef WEFT_TESTS_HISTORY_STREAM_SERVICES_H_
#define WEFT_TESTS_HISTORY_STREAM_SERVICES_H_

#include <string>

#include "absl/status/status.h"
#include "tests/history/call_back.h"
#include "tests/history/call_history.h"
#include "tests/history/stream_script.h"
#include "tests/protos/rows.weft.h"
#include "weft/core/coro.h"

namespace weft::test {

// One execution of a stream: what its handler reads and writes, told to the history at its end.
// One thread may read and another write.
class StreamExecution {
 public:
  StreamExecution(HistorySink& history, ServerContext& call, CallStyle style);
  StreamExecution(const StreamExecution&) = delete;
  StreamExecution& operator=(const StreamExecution&) = delete;

  const StreamScript& script() const { return script_; }
  CallBackWish back() const { return {script_.call_back, script_.bytes}; }
  bool wants_more() const { return tally_.received != script_.end_after; }
  bool writes_more() const { return tally_.sent < script_.ToBeListed(); }
  bool talks_more() const { return tally_.sent < script_.replies; }
  Row& in() { return in_; }
  // The next reply.
  const Row& out() {
    out_ = script_.Reply(tally_.sent);
    return out_;
  }
  // Takes the result of a read into `in`: `more`, a message came.
  bool OnRead(bool more);
  bool OnWritten(bool written);
  // The handler's return value.
  absl::Status End();

 private:
  HistorySink& history_;
  StreamScript script_;
  StreamTally tally_;
  Row in_, out_;
  bool stopped_ = false;  // could not write
};

class BlockingStreamService final : public Rows::Service {
 public:
  explicit BlockingStreamService(HistorySink& history) : history_(history) {}
  absl::Status Add(ServerContext& call, ServerReader<Row>& rows, RowSum& sum) override;
  absl::Status List(ServerContext& call, RowQuery& query, ServerWriter<Row>& rows) override;
  absl::Status Talk(ServerContext& call, ServerStream<Row, Row>& stream) override;

 private:
  HistorySink& history_;
};

class CoroStreamService final : public Rows::CoroService {
 public:
  explicit CoroStreamService(HistorySink& history) : history_(history) {}
  Coro<absl::Status> Add(ServerContext& call, ServerReader<Row>& rows, RowSum& sum) override;
  Coro<absl::Status> List(ServerContext& call, RowQuery& query, ServerWriter<Row>& rows) override;
  Coro<absl::Status> Talk(ServerContext& call, ServerStream<Row, Row>& stream) override;

 private:
  static Coro<bool> Reply(StreamExecution& run, ServerStream<Row, Row>& stream);
  static Coro<bool> ReplyAll(StreamExecution& run, ServerStream<Row, Row>& stream);

  HistorySink& history_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_STREAM_SERVICES_H_
