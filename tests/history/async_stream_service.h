// The streaming service of stream_services.h with handlers that are called back and answer later.
//
// Threads  as Service
// Owns     nothing: the history outlives it
#ifndef WEFT_TESTS_HISTORY_ASYNC_STREAM_SERVICE_H_
#define WEFT_TESTS_HISTORY_ASYNC_STREAM_SERVICE_H_

#include "tests/history/call_history.h"
#include "tests/protos/rows.weft.h"

namespace weft::test {

class AsyncStreamService final : public Rows::AsyncService {
 public:
  explicit AsyncStreamService(HistorySink& history) : history_(history) {}
  void Add(ServerContext& call, AsyncServerReader<Row, RowSum> rows) override;
  void List(ServerContext& call, RowQuery& query, AsyncServerWriter<Row> rows) override;
  void Talk(ServerContext& call, AsyncServerStream<Row, Row> stream) override;

 private:
  HistorySink& history_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_ASYNC_STREAM_SERVICE_H_
