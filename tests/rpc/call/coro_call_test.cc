// A call that a coroutine awaits, on a target that the test plays: it ends before or after the
// coroutine awaits it, or outlives it.
#include "weft/rpc/call/coro_call.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/protos/echo.pb.h"
#include "weft/core/coro.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/call/unary_call.h"

namespace weft::internal {
namespace {

using test::EchoReply;
using test::EchoRequest;

constexpr UnaryMethod<EchoRequest, EchoReply> kMethod{MethodInfo{"s.S", "M", "s.S/M"}};

// A connection, or a place to wait for one, that is told of cancelled calls.
class Carrier final : public CallCanceller {
 public:
  void CancelCall(uint64_t id) override { cancelled.push_back(id); }
  std::vector<uint64_t> cancelled;
};

// Keeps the call for the test to end.
class Target final : public CallTarget {
 public:
  void Start(OutboundCall& call) override { started = &call; }
  void End(const absl::Status& status, const EchoReply& reply = {}) {
    const std::string bytes = reply.SerializeAsString();
    CallEnd end;
    end.status = status;
    end.reply = bytes.data();
    end.reply_size = bytes.size();
    started->End(end);
  }
  OutboundCall* started = nullptr;
};

Coro<absl::Status> Await(CoroCall<EchoReply> call, std::string* text) {
  const absl::StatusOr<EchoReply> reply = co_await std::move(call);
  if (reply.ok()) *text = reply->text();
  co_return reply.status();
}

EchoReply ReplyOf(const std::string& text) {
  EchoReply reply;
  reply.set_text(text);
  return reply;
}

TEST(CoroCall, ResumesItsAwaiterOnceWithTheResult) {
  for (const bool ended_before : {false, true}) {
    Target target;
    CoroCall<EchoReply> call = CallCoro(target, kMethod, EchoRequest(), {});
    ASSERT_NE(target.started, nullptr);
    if (ended_before) target.End(absl::OkStatus(), ReplyOf("hi"));
    std::string text;
    int ends = 0;
    Spawn(Await(std::move(call), &text),
          [&](std::optional<absl::Status> status, std::exception_ptr) {
            EXPECT_TRUE(status.has_value() && status->ok());
            ++ends;
          });
    // A call that had ended does not suspend its coroutine at all.
    EXPECT_EQ(ends, ended_before ? 1 : 0);
    if (!ended_before) target.End(absl::OkStatus(), ReplyOf("hi"));
    EXPECT_EQ(ends, 1);
    EXPECT_EQ(text, "hi");
  }
}

TEST(CoroCall, CancelsWhenItIsDestroyed) {
  auto carrier = std::make_shared<Carrier>();
  Target target;
  {
    const CoroCall<EchoReply> call = CallCoro(target, kMethod, EchoRequest(), {});
    target.started->Started(CallHandle(carrier, 3));
    EXPECT_TRUE(carrier->cancelled.empty());
  }
  EXPECT_EQ(carrier->cancelled, std::vector<uint64_t>{3});
  target.End(absl::CancelledError(""));  // for nobody
  // The ended call has let go of the carrier.
  EXPECT_EQ(carrier.use_count(), 1);
}

TEST(CoroCall, CancelsWhereverTheCallGoesAfterItWasDestroyed) {
  auto waiting = std::make_shared<Carrier>();
  auto session = std::make_shared<Carrier>();
  Target target;
  {
    const CoroCall<EchoReply> call = CallCoro(target, kMethod, EchoRequest(), {});
    target.started->Started(CallHandle(waiting, 1));
  }
  // It was on its way already: the one who had it knows it no more.
  target.started->Started(CallHandle(session, 9));
  EXPECT_EQ(session->cancelled, std::vector<uint64_t>{9});
  target.End(absl::CancelledError(""));
}

TEST(CoroCall, CancelsNothingAfterItsEnd) {
  auto carrier = std::make_shared<Carrier>();
  Target target;
  {
    CoroCall<EchoReply> call = CallCoro(target, kMethod, EchoRequest(), {});
    target.started->Started(CallHandle(carrier, 3));
    target.End(absl::OkStatus());
    // The call has ended, so there is nothing to wait for.
    EXPECT_FALSE(call.await_suspend({}));
    EXPECT_TRUE(call.await_resume().ok());
  }
  EXPECT_TRUE(carrier->cancelled.empty());
}

TEST(CoroCall, KeepsItsHandsOffTheContextOfACoroutineThatIsGone) {
  Target target;
  {
    const auto context = std::make_unique<ClientContext>();
    const CoroCall<EchoReply> call =
        CallCoro(target, kMethod, EchoRequest(), {.context = context.get()});
  }
  // The context has gone with the coroutine. An access to it would be seen by the address
  // sanitizer.
  target.started->Started(CallHandle(std::make_shared<Carrier>(), 3));
  target.End(absl::UnavailableError(""));
}

// As a pool that has stopped.
class Stopped final : public Executor {
 public:
  // The closure is destroyed without being run.
  void Execute(absl::AnyInvocable<void() &&> closure) override { closure = nullptr; }
};

TEST(CoroCall, GoesOnWhereItsExecutorHasStopped) {
  Stopped executor;
  Target target;
  CallOptions options;
  options.executor = &executor;
  std::string text;
  int ends = 0;
  Spawn(Await(CallCoro(target, kMethod, EchoRequest(), options), &text),
        [&](std::optional<absl::Status> status, std::exception_ptr) {
          EXPECT_TRUE(status.has_value() && status->ok());
          ++ends;
        });
  target.End(absl::OkStatus(), ReplyOf("hi"));
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(text, "hi");
}

}  // namespace
}  // namespace weft::internal
