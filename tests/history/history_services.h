// Echo services that tell a history of every call they execute, in three handler styles.
//
// A request's `number` is its key. Its `text` says what to do: "fail" ends with ABORTED and the key
// in its message, "slow" answers a little later, anything else comes back. Its first word, if there
// is one, is the key of a call to be made back to the caller.
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
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/history/call_back.h"
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
inline absl::Status ExecuteInHistory(HistorySink& history, CallStyle style,
                                     const EchoRequest& request, EchoReply* reply) {
  // Before anything else, so that no end of the call comes without it.
  history.OnExecuted(static_cast<size_t>(request.number()), style);
  if (request.text() == "fail") return absl::AbortedError(FailureOf(request.number()));
  if (request.text() == "slow") {
    std::this_thread::sleep_for(std::chrono::microseconds(200 + request.number() % 1'500));
  }
  reply->set_number(request.number());
  reply->set_text(request.text());
  reply->set_payload(request.payload());
  return absl::OkStatus();
}

inline CallBackWish BackOf(const EchoRequest& request) {
  CallBackWish wish;
  if (request.words_size() > 0 && absl::SimpleAtoi(request.words(0), &wish.key)) {
    wish.bytes = static_cast<int64_t>(request.payload().size());
  }
  return wish;
}

class BlockingHistoryService final : public EchoService::Service {
 public:
  explicit BlockingHistoryService(HistorySink& history) : history_(history) {}
  absl::Status Echo(ServerContext& call, EchoRequest& request, EchoReply& reply) override {
    return Execute(call, request, &reply);
  }
  absl::Status EchoInline(ServerContext& call, EchoRequest& request, EchoReply& reply) override {
    return Execute(call, request, &reply);
  }
  absl::Status EchoIdempotent(ServerContext& call, EchoRequest& request,
                              EchoReply& reply) override {
    return Execute(call, request, &reply);
  }

 private:
  absl::Status Execute(ServerContext& call, const EchoRequest& request, EchoReply* reply) {
    const absl::Status status = ExecuteInHistory(history_, CallStyle::kBlocking, request, reply);
    CallBack(history_, call, BackOf(request));
    return status;
  }
  HistorySink& history_;
};

class AsyncHistoryService final : public EchoService::AsyncService {
 public:
  explicit AsyncHistoryService(HistorySink& history) : history_(history) {}
  void Echo(ServerContext& call, EchoRequest& request, Responder<EchoReply> responder) override {
    Execute(call, request, std::move(responder));
  }
  void EchoInline(ServerContext& call, EchoRequest& request,
                  Responder<EchoReply> responder) override {
    Execute(call, request, std::move(responder));
  }
  void EchoIdempotent(ServerContext& call, EchoRequest& request,
                      Responder<EchoReply> responder) override {
    Execute(call, request, std::move(responder));
  }

 private:
  void Execute(ServerContext& call, const EchoRequest& request, Responder<EchoReply> responder) {
    const absl::Status status =
        ExecuteInHistory(history_, CallStyle::kCallback, request, &responder.reply());
    CallBackAsync(history_, call, BackOf(request),
                  [status, responder = std::move(responder)]() mutable {
                    status.ok() ? responder.Finish() : responder.Finish(status);
                  });
  }
  HistorySink& history_;
};

class CoroHistoryService final : public EchoService::CoroService {
 public:
  explicit CoroHistoryService(HistorySink& history) : history_(history) {}
  Coro<absl::Status> Echo(ServerContext& call, EchoRequest& request, EchoReply& reply) override {
    return Execute(call, request, &reply);
  }
  Coro<absl::Status> EchoInline(ServerContext& call, EchoRequest& request,
                                EchoReply& reply) override {
    return Execute(call, request, &reply);
  }
  Coro<absl::Status> EchoIdempotent(ServerContext& call, EchoRequest& request,
                                    EchoReply& reply) override {
    return Execute(call, request, &reply);
  }

 private:
  Coro<absl::Status> Execute(ServerContext& call, const EchoRequest& request, EchoReply* reply) {
    const absl::Status status = ExecuteInHistory(history_, CallStyle::kCoroutine, request, reply);
    const CallBackWish wish = BackOf(request);
    (void)co_await CallBackCoro(history_, call, wish);
    co_return status;
  }
  HistorySink& history_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_HISTORY_SERVICES_H_
