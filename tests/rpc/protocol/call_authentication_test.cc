// Calls that wait for an authenticator which the test lets go token by token. The test is the sink
// behind them and the origin that answers them.
#include "weft/rpc/protocol/call_authentication.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/loop_thread.h"
#include "tests/support/watched.h"
#include "weft/core/manual_clock.h"
#include "weft/rpc/base/method_stats.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/call/service.h"

namespace weft::internal {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Calls of one connection, numbered from 1, whose tokens the test lets go one by one.
class CallAuthenticationTest : public testing::Test, public InboundSink, public CallOrigin {
 protected:
  explicit CallAuthenticationTest(int threads = 10) {
    queue_ = *AuthenticationQueue::Create(
        [this](const AuthenticationRequest& asks) -> absl::StatusOr<std::string> {
          const std::string token(asks.token);
          asked_.Update([&](auto& all) { all.push_back(token); });
          // Each token waits on a thread of the queue, so verdicts come in the test's order.
          EXPECT_TRUE(let_go_.WaitFor([&](const auto& all) {
            return std::find(all.begin(), all.end(), token) != all.end();
          }));
          if (token == "bad") return absl::PermissionDeniedError("not you");
          return absl::StrCat("<", token, ">");
        },
        {.threads = threads, .places = std::make_shared<AuthenticationPlaces>(10)}, Log(),
        Clock::System());
    io_.loop = thread_.shared_loop();
    thread_.Run([this] {
      io_.wheel = std::make_unique<DeadlineWheel>(thread_.loop());
      calls_ = std::make_unique<CallAuthentication>(io_, *this, queue_, TransportIdentity::None());
      calls_->SetToken("of the Hello");
    });
  }
  ~CallAuthenticationTest() override {
    thread_.Run([this] {
      calls_->OnAllCancelled(*this);
      calls_.reset();
    });
    // An authenticator that still waits would keep the queue from its end.
    for (const std::string& token : asked_.Get()) LetGo(token);
    queue_.reset();  // waits for those that run
    thread_.Settle();
    thread_.Run([this] {
      for (InboundCall* call : passed_calls_) call->Answer(absl::OkStatus(), nullptr);
      pool_.Close();
      io_.wheel.reset();
    });
  }

  // On the loop.
  InboundCall& Come(const std::string& token, bool serial = false) {
    InboundCall& call = pool_.Take();
    // A share that owns nothing: the fixture is the origin.
    call.origin = std::shared_ptr<CallOrigin>(std::shared_ptr<void>(), this);
    call.id = ++last_;
    call.bound = serial ? &serial_ : &free_;
    call.clock = &clock_;
    call.received = clock_.Now();
    const absl::Status added =
        token.empty() ? absl::OkStatus() : call.metadata().Add("authorization", token);
    EXPECT_TRUE(added.ok()) << added;
    return call;
  }
  void Call(const std::string& token, bool serial = false) {
    thread_.Run([&] { calls_->OnCall(Come(token, serial)); });
  }
  void LetGo(const std::string& token) {
    let_go_.Update([&](auto& all) { all.push_back(token); });
  }
  [[nodiscard]] bool AskedFor(size_t n) {
    return asked_.WaitFor([&](const auto& all) { return all.size() == n; });
  }
  // Waits until `n` calls have come to the sink or were answered, and returns them.
  std::vector<std::string> Ended(size_t n) {
    EXPECT_TRUE(ended_.WaitFor([&](const auto& all) { return all.size() >= n; }));
    thread_.Settle();
    return ended_.Get();
  }

  // InboundSink
  const BoundMethod* Find(std::string_view) override { return &free_; }
  absl::Status Unknown(std::string_view) override { return absl::UnimplementedError("unknown"); }
  void OnCall(InboundCall& call) override {
    passed_calls_.push_back(&call);
    ended_.Update([&](auto& all) {
      all.push_back(absl::StrCat(call.id.load(), " is ", call.context().identity()));
    });
  }
  // CallOrigin
  void SendAnswer(InboundCall& call, const absl::Status& status, ReplyMessage*, bool) override {
    if (status.ok()) return;
    ended_.Update([&](auto& all) {
      all.push_back(absl::StrCat(call.id.load(), " ", absl::StatusCodeToString(status.code()), " ",
                                 std::string(status.message())));
    });
  }
  void OnCallReturned(InboundCall&) override {}
  void WatchDeadline(InboundCall&) override {}
  const std::string& peer() const override { return peer_; }
  const std::string& identity() const override { return connection_; }

  ManualClock clock_;
  LoopThread thread_{clock_};
  IoThread io_;
  const MethodInfo info_{.service = "a.B", .name = "Say", .full_name = "a.B/Say"};
  const ServiceMethod method_{&info_, nullptr};
  MethodStats stats_{"a.B/Say"};
  const BoundMethod free_{.method = &method_, .stats = &stats_};
  const BoundMethod serial_{.method = &method_, .stats = &stats_, .serial = true};
  const std::string peer_ = "the peer", connection_ = "its connection";
  CallPool pool_{nullptr};
  std::shared_ptr<AuthenticationQueue> queue_;
  std::unique_ptr<CallAuthentication> calls_;
  uint64_t last_ = 0;
  std::vector<InboundCall*> passed_calls_;
  Watched<std::vector<std::string>> asked_, let_go_, ended_;
};

TEST_F(CallAuthenticationTest, PassesEachCallOnWhenItsVerdictComes) {
  for (const char* token : {"a", "b", ""}) Call(token);
  ASSERT_TRUE(AskedFor(3));
  LetGo("b");
  EXPECT_THAT(Ended(1), ElementsAre("2 is <b>"));
  // The third call has no token of its own.
  LetGo("of the Hello");
  Ended(2);
  LetGo("a");
  EXPECT_THAT(Ended(3), ElementsAre("2 is <b>", "3 is <of the Hello>", "1 is <a>"));
}

TEST_F(CallAuthenticationTest, RefusesWithTheAuthenticatorsCode) {
  Call("bad");
  LetGo("bad");
  EXPECT_THAT(Ended(1), ElementsAre("1 PERMISSION_DENIED call a.B/Say: not authenticated: not you "
                                    "(from the peer)"));
}

TEST_F(CallAuthenticationTest, AsksForNoCallWithTwoTokens) {
  thread_.Run([this] {
    InboundCall& call = Come("a");
    EXPECT_TRUE(call.metadata().Add("authorization", "b").ok());
    calls_->OnCall(call);
  });
  EXPECT_THAT(Ended(1), ElementsAre(HasSubstr("UNAUTHENTICATED")));
  EXPECT_THAT(asked_.Get(), IsEmpty());
}

TEST_F(CallAuthenticationTest, LetsSerialCallsThroughInTheirOrderAndOthersBesideThem) {
  for (const char* token : {"a", "bad", "c"}) Call(token, /*serial=*/true);
  Call("free");
  ASSERT_TRUE(AskedFor(4));
  // The verdict on "c" is the first, but both calls before it in their order have none yet.
  LetGo("c");
  LetGo("free");
  EXPECT_THAT(Ended(1), ElementsAre("4 is <free>"));
  LetGo("a");
  EXPECT_THAT(Ended(2), ElementsAre("4 is <free>", "1 is <a>"));
  LetGo("bad");
  EXPECT_THAT(Ended(4),
              ElementsAre("4 is <free>", "1 is <a>", HasSubstr("2 PERMISSION_DENIED"), "3 is <c>"));
}

TEST_F(CallAuthenticationTest, ACancelledCallHoldsUpNoneBehindIt) {
  InboundCall* first = nullptr;
  thread_.Run([&] {
    first = &Come("a", /*serial=*/true);
    calls_->OnCall(*first);
  });
  Call("b", /*serial=*/true);
  ASSERT_TRUE(AskedFor(2));
  // The verdict on the first call is still out, and is no longer waited for below.
  LetGo("b");
  thread_.Run([&] {
    first->MarkCancelled();
    calls_->OnCancelled(*first);
  });
  EXPECT_THAT(Ended(2), ElementsAre(HasSubstr("1 CANCELLED"), "2 is <b>"));
}

// The pool hands the same call out again.
TEST_F(CallAuthenticationTest, AVerdictThatComesTooLateIsNotTheNextCalls) {
  InboundCall *first = nullptr, *second = nullptr;
  thread_.Run([&] {
    first = &Come("a");
    calls_->OnCall(*first);
  });
  ASSERT_TRUE(AskedFor(1));
  thread_.Run([&] {
    calls_->OnCancelled(*first);
    pool_.Collect();
    second = &Come("b");
    calls_->OnCall(*second);
  });
  // Else this test would prove nothing.
  ASSERT_EQ(first, second);
  ASSERT_TRUE(AskedFor(2));
  LetGo("a");
  // A verdict that was wrongly passed on would have come when this returns.
  thread_.Settle();
  EXPECT_THAT(Ended(1), ElementsAre(HasSubstr("1 CANCELLED")));
  LetGo("b");
  EXPECT_THAT(Ended(2), ElementsAre(HasSubstr("1 CANCELLED"), "2 is <b>"));
}

TEST_F(CallAuthenticationTest, EndsACallWhoseDeadlinePasses) {
  thread_.Run([this] {
    InboundCall& call = Come("a");
    call.deadline = clock_.Now() + seconds(3);
    calls_->OnCall(call);
  });
  ASSERT_TRUE(AskedFor(1));
  thread_.Advance(seconds(2));
  EXPECT_THAT(ended_.Get(), IsEmpty());
  thread_.Advance(seconds(1));
  EXPECT_THAT(Ended(1), ElementsAre(HasSubstr("1 DEADLINE_EXCEEDED while its caller was "
                                              "authenticated: deadline passed")));
}

class OneThread : public CallAuthenticationTest {
 protected:
  OneThread() : CallAuthenticationTest(1) {}
};

TEST_F(OneThread, IsNotAskedForCallsThatHaveEnded) {
  Call("a");
  ASSERT_TRUE(AskedFor(1));
  Call("b");
  Call("c");
  thread_.Run([this] { calls_->OnAllCancelled(*this); });
  EXPECT_EQ(Ended(3).size(), 3u);
  // The only thread is busy with "a"; the questions of the other calls were dropped.
  EXPECT_EQ(queue_->counts().waiting, 0u);
  LetGo("a");
  Call("d");
  LetGo("d");
  EXPECT_THAT(Ended(4).back(), "4 is <d>");
  EXPECT_THAT(asked_.Get(), ElementsAre("a", "d"));
}

}  // namespace
}  // namespace weft::internal
