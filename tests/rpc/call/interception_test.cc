// The hooks of one call's interceptors, on a call that is held by the test: which run, in which
// order, and never two at once.
#include "weft/rpc/call/interception.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/protos/echo.weft.h"
#include "weft/core/manual_clock.h"
#include "weft/rpc/call/outbound_call.h"

namespace weft::internal {
namespace {

using test::EchoRequest;
using test::EchoService;

CallEnd EndWith(absl::Status status) {
  CallEnd end;
  end.status = std::move(status);
  return end;
}

class HeldCall final : public OutboundCall {
 public:
  explicit HeldCall(const EchoRequest& message)
      : OutboundCall(EchoService::kEcho, message, kOptions) {}
  std::optional<CallEnd> ended;

 private:
  static constexpr CallOptions kOptions{};
  void Complete(const CallEnd& end) override {
    EXPECT_FALSE(ended.has_value());
    ended = end;
  }
};

// Fails when two hooks of a call run at once, or one after the end.
class Checker final : public ClientInterceptor {
 public:
  std::atomic<int> messages{0}, ends{0}, gone{0};
  std::optional<ClientCallEnd> last;

  absl::StatusOr<std::unique_ptr<Call>> Start(const ClientCallStart&) override {
    return std::make_unique<One>(*this);
  }

 private:
  struct One final : public Call {
    explicit One(Checker& c) : checker(c) {}
    ~One() override { checker.gone.fetch_add(1); }
    absl::Status OnMessage(MessageDirection, size_t) override {
      EXPECT_FALSE(inside.exchange(true));
      // A message behind the end would find the interceptor's call gone.
      EXPECT_EQ(checker.ends.load(), 0);
      checker.messages.fetch_add(1);
      inside.store(false);
      return absl::OkStatus();
    }
    void OnEnd(const ClientCallEnd& end) override {
      EXPECT_FALSE(inside.exchange(true));
      checker.ends.fetch_add(1);
      checker.last.emplace(end);
      inside.store(false);
    }
    Checker& checker;
    std::atomic<bool> inside{false};
  };
};

TEST(Interception, IsNoneWithoutInterceptors) {
  EchoRequest request;
  HeldCall call(request);
  EXPECT_EQ(call.OnMessage(MessageDirection::kSent, 1), absl::OkStatus());
  // Nothing is allocated for a call that nobody looks at.
  EXPECT_EQ(call.metadata(), nullptr);
  call.End(EndWith(absl::AbortedError("x")));
  EXPECT_EQ(call.ended->status, absl::AbortedError("x"));
}

TEST(Interception, MeasuresByTheClockOfItsLoop) {
  ManualClock clock;
  const auto checker = std::make_shared<Checker>();
  EchoRequest request;
  request.set_text("four");
  HeldCall call(request);
  // The starter's time; the interceptors measure from there.
  call.MakePlan().started = clock.Now();
  ASSERT_EQ(ClientInterception::Start({checker}, call, "there", clock), absl::OkStatus());
  clock.Advance(std::chrono::milliseconds(250));
  CallEnd end;
  end.reply = "reply";
  end.reply_size = 5;
  end.handler_time = std::chrono::milliseconds(100);
  call.End(end);
  ASSERT_TRUE(checker->last.has_value());
  EXPECT_EQ(checker->last->elapsed, absl::Milliseconds(250));
  EXPECT_EQ(checker->last->handler_time, absl::Milliseconds(100));
  EXPECT_EQ(checker->last->volume.sent_messages, 1u);
  // The field's tag and length, and four bytes.
  EXPECT_EQ(checker->last->volume.sent_bytes, 6u);
  EXPECT_EQ(checker->last->volume.received_messages, 1u);
  EXPECT_EQ(checker->last->volume.received_bytes, 5u);
  EXPECT_EQ(call.ended->reply_size, 5u);
}

TEST(Interception, LetsGoOfWhatInterceptorsKeptAtTheEnd) {
  const auto checker = std::make_shared<Checker>();
  EchoRequest request;
  HeldCall call(request);
  ASSERT_EQ(ClientInterception::Start({checker}, call, "there", Clock::System()), absl::OkStatus());
  EXPECT_EQ(checker->gone.load(), 0);
  call.End(EndWith(absl::AbortedError("x")));
  EXPECT_EQ(checker->gone.load(), 1);
  // Messages after the end reach no interceptor.
  EXPECT_EQ(call.OnMessage(MessageDirection::kReceived, 1), absl::OkStatus());
  EXPECT_EQ(checker->messages.load(), 1);  // the request
  EXPECT_EQ(checker->ends.load(), 1);
}

TEST(Interception, RunsTheHooksOfACallOneAtATime) {
  const auto checker = std::make_shared<Checker>();
  EchoRequest request;
  HeldCall call(request);
  // The same interceptor twice: both of its calls count in one place.
  ASSERT_EQ(ClientInterception::Start({checker, checker}, call, "there", Clock::System()),
            absl::OkStatus());
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&call] {
      for (int i = 0; i < 500; ++i) {
        EXPECT_TRUE(call.OnMessage(MessageDirection::kSent, 1).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  // Two interceptors see the request and what three threads send.
  EXPECT_EQ(checker->messages.load(), 2 * (1 + 1500));
}

// A stream's writer may be at it while the call ends.
TEST(Interception, TakesMessagesWhileTheCallEnds) {
  for (int round = 0; round < 50; ++round) {
    const auto checker = std::make_shared<Checker>();
    EchoRequest request;
    HeldCall call(request);
    ASSERT_EQ(ClientInterception::Start({checker}, call, "there", Clock::System()),
              absl::OkStatus());
    std::atomic<bool> writing{false};
    std::thread writer([&] {
      for (int i = 0; i < 200; ++i) {
        EXPECT_TRUE(call.OnMessage(MessageDirection::kSent, 1).ok());
        writing.store(true);
      }
    });
    // The end comes while the writer is at it, not before.
    while (!writing.load()) std::this_thread::yield();
    call.End(EndWith(absl::CancelledError("x")));
    writer.join();
    EXPECT_EQ(checker->ends.load(), 1);
    EXPECT_EQ(checker->gone.load(), 1);
  }
}

}  // namespace
}  // namespace weft::internal
