// Echo services that tell a history of every call they execute, in three handler styles.
//
// A request's `number` is its key. Its `text` says what to do: "fail" ends with ABORTED and the key
// in its message, "slow" answers a little later, anything else comes back.
//
// Threads  as Service
// Owns     nothing: the history outlives them
#ifndef WEFT_TESTS_HISTORY_HISTORY_SERVICES_H_
#define WEFT_TESTS_HISTORY_HISTORY_SERVICES_H_

#include <chrono>
#include <cstddef>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/history/call_history.h"
#include "tests/protos/echo.weft.h"
#include "tests/protos/rows.pb.h"
#include "weft/core/coro.h"

namespace weft::test {

inline std::string FailureOf(int64_t key) { return absl::StrCat("call ", key, " is to fail"); }

inline void AddToSum(const Row& row, RowSum* sum) {
  sum->set_rows(sum->rows() + 1);
  sum->set_total(sum->total() + row.number());
  sum->set_bytes(sum->bytes() + static_cast<int64_t>(row.data().size()));
}

// Executes one request.
inline absl::Status ExecuteInHistory(HistorySink& history, const EchoRequest& request,
                                     EchoReply* reply) {
  history.OnExecuted(static_cast<size_t>(request.number()));
  if (request.text() == "fail") return absl::AbortedError(FailureOf(request.number()));
  if (request.text() == "slow") {
    std::this_thread::sleep_for(std::chrono::microseconds(200 + request.number() % 1'500));
  }
  reply->set_number(request.number());
  reply->set_text(request.text());
  reply->set_payload(request.payload());
  return absl::OkStatus();
}

class BlockingHistoryService final : public EchoService::Service {
 public:
  explicit BlockingHistoryService(HistorySink& history) : history_(history) {}
  absl::Status Echo(ServerContext&, EchoRequest& request, EchoReply& reply) override {
    return ExecuteInHistory(history_, request, &reply);
  }
  absl::Status EchoInline(ServerContext&, EchoRequest& request, EchoReply& reply) override {
    return ExecuteInHistory(history_, request, &reply);
  }
  absl::Status EchoIdempotent(ServerContext&, EchoRequest& request, EchoReply& reply) override {
    return ExecuteInHistory(history_, request, &reply);
  }

 private:
  HistorySink& history_;
};

class AsyncHistoryService final : public EchoService::AsyncService {
 public:
  explicit AsyncHistoryService(HistorySink& history) : history_(history) {}
  void Echo(ServerContext&, EchoRequest& request, Responder<EchoReply> responder) override {
    Answer(request, std::move(responder));
  }
  void EchoInline(ServerContext&, EchoRequest& request, Responder<EchoReply> responder) override {
    Answer(request, std::move(responder));
  }
  void EchoIdempotent(ServerContext&, EchoRequest& request,
                      Responder<EchoReply> responder) override {
    Answer(request, std::move(responder));
  }

 private:
  void Answer(const EchoRequest& request, Responder<EchoReply> responder) {
    const absl::Status status = ExecuteInHistory(history_, request, &responder.reply());
    status.ok() ? responder.Finish() : responder.Finish(status);
  }
  HistorySink& history_;
};

class CoroHistoryService final : public EchoService::CoroService {
 public:
  explicit CoroHistoryService(HistorySink& history) : history_(history) {}
  Coro<absl::Status> Echo(ServerContext&, EchoRequest& request, EchoReply& reply) override {
    co_return ExecuteInHistory(history_, request, &reply);
  }
  Coro<absl::Status> EchoInline(ServerContext&, EchoRequest& request, EchoReply& reply) override {
    co_return ExecuteInHistory(history_, request, &reply);
  }
  Coro<absl::Status> EchoIdempotent(ServerContext&, EchoRequest& request,
                                    EchoReply& reply) override {
    co_return ExecuteInHistory(history_, request, &reply);
  }

 private:
  HistorySink& history_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_HISTORY_SERVICES_H_
