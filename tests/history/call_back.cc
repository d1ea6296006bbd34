#include "tests/history/call_back.h"

#include <memory>
#include <string>

#include "tests/history/history_services.h"
#include "tests/history/stream_caller.h"
#include "tests/protos/echo.weft.h"
#include "weft/rpc/call/call_target.h"
#include "weft/rpc/call/client_context.h"

namespace weft::test {
namespace {

// The call that is to be made.
class Back {
 public:
  Back(HistorySink& history, ServerContext& call, const StreamScript& script)
      : history_(history), key_(script.call_back), caller_(call.caller()) {
    request_.set_number(key_);
    request_.set_payload(std::string(static_cast<size_t>(script.bytes), 'b'));
    own_.key = key_;
    own_.requests = own_.replies = key_ % 7;
    own_.bytes = script.bytes;
    static constexpr const char* kKinds[] = {"unary", "client streams", "server streams"};
    history_.OnStarted(static_cast<size_t>(key_), absl::StrCat("called back, ", kKinds[kind()]),
                       /*may_run_twice=*/false);
  }

  // 0: unary, 1: the client, which is the handler, streams, 2: the server does.
  int kind() const { return static_cast<int>(key_ % 3); }
  EchoService::Stub echo() { return EchoService::Stub(*caller_); }
  const EchoRequest& request() const { return request_; }
  CallOptions options() { return {.context = &context_}; }
  std::shared_ptr<StreamCaller> Stream() {
    return std::make_shared<StreamCaller>(
        Rows::Stub(*caller_),
        StreamCaller::Wishes{kind() == 1 ? StreamCaller::Kind::kAdd : StreamCaller::Kind::kList,
                             own_},
        options());
  }

  void Ended(const absl::StatusOr<EchoReply>& reply) {
    CallEnding ending = EndingOf(reply.status());
    if (reply.ok()) {
      ending.matches = reply->number() == key_ && reply->payload() == request_.payload();
    }
    history_.OnEnded(static_cast<size_t>(key_), ending);
  }
  void Ended(const StreamOutcome& outcome) {
    CallEnding ending = EndingOf(outcome.status);
    ending.matches = outcome.matches;
    ending.stream = outcome.tally;
    history_.OnEnded(static_cast<size_t>(key_), ending);
  }

 private:
  // It ends with its connection, and with the call that is being served.
  CallEnding EndingOf(const absl::Status& status) const {
    CallEnding ending;
    ending.code = status.code();
    ending.may_have_been_executed = context_.may_have_been_executed();
    switch (status.code()) {
      case absl::StatusCode::kOk:
      case absl::StatusCode::kCancelled:
      case absl::StatusCode::kDeadlineExceeded:
      case absl::StatusCode::kResourceExhausted:
      case absl::StatusCode::kUnavailable:
        break;
      default:
        ending.unexplained = status.ToString();
    }
    return ending;
  }

  HistorySink& history_;
  const int64_t key_;
  const std::shared_ptr<CallTarget> caller_;
  StreamScript own_;
  EchoRequest request_;
  ClientContext context_;
};

}  // namespace

void CallBack(HistorySink& history, ServerContext& call, const StreamScript& script) {
  if (script.call_back == 0) return;
  Back back(history, call, script);
  if (back.kind() == 0) {
    back.Ended(back.echo().Echo(back.request(), back.options()));
  } else {
    back.Ended(back.Stream()->Block());
  }
}

Coro<int> CallBackCoro(HistorySink& history, ServerContext& call, const StreamScript& script) {
  Back back(history, call, script);
  if (back.kind() == 0) {
    EchoService::Stub echo = back.echo();
    const absl::StatusOr<EchoReply> reply = co_await echo.EchoCoro(back.request(), back.options());
    back.Ended(reply);
    co_return 0;
  }
  const std::shared_ptr<StreamCaller> stream = back.Stream();
  if (back.kind() == 1) {
    const StreamOutcome outcome = co_await stream->AwaitAdd();
    back.Ended(outcome);
  } else {
    const StreamOutcome outcome = co_await stream->AwaitList();
    back.Ended(outcome);
  }
  co_return 0;
}

}  // namespace weft::test
