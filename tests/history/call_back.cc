#include "tests/history/call_back.h"

#include <memory>
#include <string>
#include <utility>

#include "tests/history/stream_caller.h"
#include "tests/protos/echo.weft.h"
#include "weft/rpc/call/call_target.h"
#include "weft/rpc/call/client_context.h"

namespace weft::test {
namespace {

// The call that is to be made.
class Back {
 public:
  Back(HistorySink& history, ServerContext& call, CallBackWish wish, CallStyle style)
      : history_(history),
        key_(wish.key),
        method_(static_cast<CallMethod>(static_cast<int64_t>(CallMethod::kBackEcho) +
                                        wish.key % kBackMethods)),
        caller_(call.caller()) {
    request_.set_number(key_);
    request_.set_payload(std::string(static_cast<size_t>(wish.bytes), 'b'));
    own_.key = key_;
    // At most six messages, at times none.
    own_.requests = own_.replies = key_ % 7;
    own_.bytes = wish.bytes;
    const CallKind kind{method_, style};
    history_.OnStarted(static_cast<size_t>(key_),
                       {absl::StrCat(NameOf(style), ", ", NameOf(method_)), kind});
  }

  bool streams() const { return method_ != CallMethod::kBackEcho; }
  EchoService::Stub echo() { return EchoService::Stub(*caller_); }
  const EchoRequest& request() const { return request_; }
  CallOptions options() { return {.context = &context_}; }
  std::shared_ptr<StreamCaller> Stream() {
    StreamCaller::Wishes wishes;
    wishes.kind = method_ == CallMethod::kBackAdd    ? StreamCaller::Kind::kAdd
                  : method_ == CallMethod::kBackList ? StreamCaller::Kind::kList
                                                     : StreamCaller::Kind::kTalk;
    wishes.script = own_;
    wishes.in_turn = true;
    return std::make_shared<StreamCaller>(Rows::Stub(*caller_), wishes, options());
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
  // The call back ends with its connection, with the call that is being served, and at the world's
  // limits. Nothing else accounts for an error.
  CallEnding EndingOf(const absl::Status& status) const {
    CallEnding ending;
    ending.code = status.code();
    ending.may_have_been_executed = context_.may_have_been_executed();
    switch (status.code()) {
      case absl::StatusCode::kOk:
      case absl::StatusCode::kCancelled:
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
  const CallMethod method_;
  const std::shared_ptr<CallTarget> caller_;
  StreamScript own_;
  EchoRequest request_;
  ClientContext context_;
};

}  // namespace

void CallBack(HistorySink& history, ServerContext& call, CallBackWish wish) {
  if (wish.key == 0) return;
  Back back(history, call, wish, CallStyle::kBlocking);
  if (back.streams()) {
    back.Ended(back.Stream()->Block());
  } else {
    back.Ended(back.echo().Echo(back.request(), back.options()));
  }
}

void CallBackAsync(HistorySink& history, ServerContext& call, CallBackWish wish,
                   absl::AnyInvocable<void() &&> done) {
  if (wish.key == 0) return std::move(done)();
  const auto back = std::make_shared<Back>(history, call, wish, CallStyle::kCallback);
  if (back->streams()) {
    const auto then = std::make_shared<absl::AnyInvocable<void() &&>>(std::move(done));
    back->Stream()->BeginCallbacks([back, then](const StreamOutcome& outcome) {
      back->Ended(outcome);
      std::move (*then)();
    });
  } else {
    back->echo().EchoAsync(
        back->request(), back->options(),
        [back, done = std::move(done)](const absl::StatusOr<EchoReply>& reply) mutable {
          back->Ended(reply);
          std::move(done)();
        });
  }
}

Coro<int> CallBackCoro(HistorySink& history, ServerContext& call, CallBackWish wish) {
  if (wish.key == 0) co_return 0;
  Back back(history, call, wish, CallStyle::kCoroutine);
  if (back.streams()) {
    const std::shared_ptr<StreamCaller> stream = back.Stream();
    const StreamOutcome outcome = co_await stream->Await();
    back.Ended(outcome);
  } else {
    EchoService::Stub echo = back.echo();
    const absl::StatusOr<EchoReply> reply = co_await echo.EchoCoro(back.request(), back.options());
    back.Ended(reply);
  }
  co_return 0;
}

}  // namespace weft::test
