// A call of several attempts, in each of its states, against each way for an attempt to end: over a
// carrier that only takes notes, with a clock that the test turns.
#include "weft/rpc/client/call_driver.h"

#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/protos/echo.weft.h"
#include "weft/core/manual_clock.h"

namespace weft::internal {
namespace {

using absl::StatusCode;
using test::EchoRequest;
using ::testing::HasSubstr;

constexpr MethodInfo kMethod{"test.Store", "Put", "test.Store/Put", MethodKind::kUnary};

// Keeps attempts until the test ends them.
class FakeCarrier final : public AttemptHost, public CallCanceller {
 public:
  void SendAttempt(OutboundCall& attempt) override {
    attempts.push_back(&attempt);
    if (attempt.wants_handle()) {
      attempt.Started(CallHandle(std::shared_ptr<CallCanceller>(std::shared_ptr<void>(), this),
                                 attempts.size()));
    }
    // Cleared first, for the closure may come to another sending.
    if (in_send) std::exchange(in_send, nullptr)();
  }
  void Post(std::function<void()> task) override { posted.push_back(std::move(task)); }
  MonoTime Now() const override { return clock.Now(); }
  bool InHome() const override { return in_home; }
  void PostEnd(std::function<void(bool closed)> task) override {
    if (is_closed) {
      task(true);
    } else {
      posted.push_back([task = std::move(task)] { task(false); });
    }
  }
  void Report(uint64_t link, const CallEnd& end, Nanos took) override {
    reports.push_back({link, end.status.code(), took});
  }
  std::string_view WhyOver() const override { return is_closed ? "the channel was closed" : ""; }
  void WakeAt(CallDriver& driver, MonoTime at) override {
    EXPECT_EQ(to_wake, nullptr) << "one at a time";
    to_wake = &driver;
    wake_at = at;
  }
  void DontWake(CallDriver& driver) override {
    EXPECT_TRUE(to_wake == nullptr || to_wake == &driver);
    to_wake = nullptr;
  }
  void CancelCall(uint64_t id) override { cancelled.insert(id); }

  void RunPosted() {
    while (!posted.empty()) {
      const std::function<void()> task = std::move(posted.front());
      posted.pop_front();
      task();
    }
  }
  void Advance(Nanos d) {
    clock.Advance(d);
    RunPosted();
    // The driver takes itself out, or sets a new time.
    if (to_wake != nullptr && clock.Now() >= wake_at) to_wake->OnDeadline();
    RunPosted();
  }
  Nanos until_wake() const { return wake_at - clock.Now(); }

  ManualClock clock;
  std::vector<OutboundCall*> attempts;
  std::set<uint64_t> cancelled;
  std::deque<std::function<void()>> posted;
  std::function<void()> in_send;  // what the next sending comes to
  CallDriver* to_wake = nullptr;
  MonoTime wake_at{};
  bool is_closed = false;
  bool in_home = true;  // where attempts end
  struct Reported {
    uint64_t link;
    StatusCode code;
    Nanos took;
  };
  std::vector<Reported> reports;
};

// The user's call.
class UserCall final : public OutboundCall {
 public:
  explicit UserCall(const EchoRequest& message) : OutboundCall(kMethod, message, {}) {
    request.SetStays();
  }
  bool wants_handle() const override { return true; }
  void Started(CallHandle h) override { handle = std::move(h); }

  int ends = 0;
  CallEnd end;
  CallHandle handle;
  std::function<void()> in_complete;

 private:
  void Complete(const CallEnd& e) override {
    ++ends;
    end = e;
    if (in_complete) in_complete();
  }
};

enum class By { kReply, kHandler, kRefused, kLost, kCancel, kDeadline, kGoAway, kClose };

// A driver, with a host of attempts that the test plays: it ends attempts as it likes and moves
// time. The destructor expects that the driver has let go of its keeper, so nothing of it is left.
class CallDriverTest : public ::testing::Test {
 protected:
  CallDriverTest() {
    retry_.attempts = 3;
    retry_.backoff = absl::Milliseconds(100);
    hedging_.attempts = 3;
    hedging_.delay = absl::Milliseconds(10);
  }
  ~CallDriverTest() override {
    carrier_.RunPosted();
    call_.reset();  // with its handle
    EXPECT_TRUE(watch_.expired()) << "the driver has not gone";
  }

  void Start(bool hedged, bool idempotent) {
    AttemptPlan plan;
    plan.attempts = hedged ? hedging_.attempts : retry_.attempts;
    plan.hedged = hedged;
    plan.idempotent = idempotent;
    plan.retry = &retry_;
    plan.hedging = &hedging_;
    call_.emplace(request_);
    // The starter shares a request before it lets a driver repeat it.
    ASSERT_TRUE(call_->request.Share());
    call_->MakePlan().started = carrier_.Now();
    call_->MakePlan().deadline = carrier_.Now() + std::chrono::seconds(1);
    // The driver holds this as long as it lives, so the weak pointer tells when it has gone.
    auto keeper = std::make_shared<int>(1);
    watch_ = keeper;
    CallDriver::Start(std::move(keeper), {carrier_, budget_, counts_}, plan, *call_);
    carrier_.RunPosted();
  }
  OutboundCall& attempt(size_t number) { return *carrier_.attempts.at(number - 1); }

  static CallEnd Failure(StatusCode code, bool may_have_been_executed,
                         std::string_view text = "no") {
    CallEnd end;
    end.status = absl::Status(code, absl::string_view(text.data(), text.size()));
    end.may_have_been_executed = may_have_been_executed;
    return end;
  }
  void Refuse(size_t number) {
    attempt(number).End(Failure(StatusCode::kUnavailable, false, "refused"));
  }
  void Lose(size_t number) { attempt(number).End(Failure(StatusCode::kUnavailable, true, "lost")); }
  void Reply(size_t number) { attempt(number).End(CallEnd()); }
  // Does as a link that was asked to cancel.
  void EndCancelled() {
    carrier_.RunPosted();
    for (const uint64_t id : std::exchange(carrier_.cancelled, {})) {
      // An attempt may have ended while its cancelling was under way.
      if (attempt(id).state() == OutboundCall::State::kEnded) continue;
      attempt(id).End(Failure(StatusCode::kCancelled, true, "cancelled by the caller"));
    }
  }
  std::string message() const { return std::string(call_->end.status.message()); }

  EchoRequest request_;
  RetryPolicy retry_;
  HedgingPolicy hedging_;
  RetryBudget budget_{{.tokens = 10}};
  AttemptCounts counts_;
  FakeCarrier carrier_;
  std::optional<UserCall> call_;
  std::weak_ptr<void> watch_;
};

// ---- One after another

TEST_F(CallDriverTest, TriesAgainWhatWasNotExecuted) {
  Start(false, false);
  Refuse(1);
  EXPECT_EQ(call_->ends, 0);
  // 100 ms with a jitter of 20 %; the next pause is 1.6 times as long.
  EXPECT_GE(carrier_.until_wake(), std::chrono::milliseconds(80));
  EXPECT_LE(carrier_.until_wake(), std::chrono::milliseconds(120));
  carrier_.Advance(carrier_.until_wake());
  Refuse(2);
  EXPECT_GE(carrier_.until_wake(), std::chrono::milliseconds(128));
  EXPECT_LE(carrier_.until_wake(), std::chrono::milliseconds(192));
  carrier_.Advance(carrier_.until_wake());
  Reply(3);
  EXPECT_EQ(call_->ends, 1);
  EXPECT_TRUE(call_->end.status.ok());
  EXPECT_EQ(call_->end.attempts, 3);
  EXPECT_EQ(counts_.retries, 2);
}

TEST_F(CallDriverTest, NamesTheAttemptsInItsError) {
  Start(false, false);
  for (size_t i = 1; i <= 3; ++i) {
    Refuse(i);
    if (i < 3) carrier_.Advance(carrier_.until_wake());
  }
  EXPECT_EQ(call_->ends, 1);
  EXPECT_EQ(message(), "call test.Store/Put: attempt 3 of 3: refused");
  EXPECT_FALSE(call_->end.may_have_been_executed);
}

TEST_F(CallDriverTest, DoesNotRepeatWhatMayHaveBeenExecuted) {
  Start(false, false);
  Lose(1);
  EXPECT_EQ(call_->ends, 1);
  EXPECT_EQ(message(),
            "call test.Store/Put: attempt 1 of 3: lost; not tried again: it may have been "
            "executed, and the method is not idempotent");
  EXPECT_TRUE(call_->end.may_have_been_executed);
}

TEST_F(CallDriverTest, RepeatsAnIdempotentMethod) {
  Start(false, true);
  Lose(1);
  carrier_.Advance(carrier_.until_wake());
  Refuse(2);
  carrier_.Advance(carrier_.until_wake());
  Refuse(3);
  EXPECT_EQ(call_->ends, 1);
  EXPECT_TRUE(call_->end.may_have_been_executed) << "the first attempt may have been";
}

TEST_F(CallDriverTest, IsCancelledThoughItsAttemptFailsByItselfMeanwhile) {
  Start(false, true);
  call_->handle.Cancel();
  carrier_.RunPosted();
  Lose(1);
  EXPECT_EQ(call_->ends, 1);
  EXPECT_EQ(call_->end.status.code(), StatusCode::kCancelled);
  EXPECT_TRUE(call_->end.may_have_been_executed);
  // Cancelled, the call does not pause for another attempt, though the method is idempotent.
  EXPECT_EQ(carrier_.to_wake, nullptr);
}

TEST_F(CallDriverTest, LeavesAnAnswerAsItIs) {
  Start(false, true);
  // NOT_FOUND is a handler's answer, and no failure of the way there.
  attempt(1).End(Failure(StatusCode::kNotFound, true, "no such key"));
  EXPECT_EQ(call_->ends, 1);
  EXPECT_EQ(call_->end.status, absl::NotFoundError("no such key"));
}

TEST_F(CallDriverTest, WaitsAsLongAsTheServerAsks) {
  Start(false, false);
  Metadata trailers;
  trailers.AddReserved(CallDriver::kPushback, "333");
  std::string raw(trailers.WireSize(), '\0');
  trailers.WriteTo(raw.data());
  CallEnd end = Failure(StatusCode::kUnavailable, false);
  end.trailers = raw;
  attempt(1).End(end);
  // Without jitter: the server's word is taken as it is.
  EXPECT_EQ(carrier_.until_wake(), std::chrono::milliseconds(333));
  carrier_.Advance(carrier_.until_wake());
  Reply(2);
  EXPECT_EQ(call_->ends, 1);
}

TEST_F(CallDriverTest, DoesNotTryAgainWhereTheServerAsksNotTo) {
  // Negative, no number, and nothing: a damaged wish counts as a no.
  for (const char* value : {"-1", "soon", ""}) {
    // The numbers of attempts begin with 1 for each call.
    carrier_.attempts.clear();
    Start(false, false);
    Metadata trailers;
    trailers.AddReserved(CallDriver::kPushback, value);
    std::string raw(trailers.WireSize(), '\0');
    trailers.WriteTo(raw.data());
    CallEnd end = Failure(StatusCode::kUnavailable, false);
    end.trailers = raw;
    attempt(1).End(end);
    EXPECT_EQ(call_->ends, 1) << value;
    EXPECT_THAT(message(), HasSubstr("; not tried again: the server asks not to"));
  }
}

TEST_F(CallDriverTest, DoesNotWaitBeyondItsDeadline) {
  // The deadline is a second away.
  retry_.backoff = absl::Seconds(2);
  retry_.max_backoff = absl::Seconds(2);
  Start(false, false);
  Refuse(1);
  EXPECT_EQ(call_->ends, 1);
  EXPECT_THAT(message(), HasSubstr("its deadline comes before the next attempt"));
}

TEST_F(CallDriverTest, StaysInTheBudget) {
  // Of 10 tokens more than half must be left: with 6 the attempt's own failure takes the one too
  // many.
  for (int i = 0; i < 4; ++i) budget_.Take();
  Start(false, false);
  Refuse(1);
  EXPECT_EQ(call_->ends, 1);
  EXPECT_THAT(message(), HasSubstr("the channel's retry budget is used up"));
  EXPECT_EQ(counts_.over_budget, 1);
}

TEST_F(CallDriverTest, SendsTheSameEachTime) {
  request_.set_text("hello");
  Start(false, true);
  Lose(1);
  carrier_.Advance(carrier_.until_wake());
  Lose(2);
  carrier_.Advance(carrier_.until_wake());
  EXPECT_EQ(attempt(1).request.bytes(), request_.SerializeAsString());
  for (int n : {1, 2, 3}) {
    EXPECT_EQ(attempt(n).request.shared(), call_->request.shared()) << "serialized once";
  }
  Reply(3);
}

// ---- Side by side

TEST_F(CallDriverTest, HedgesAfterTheDelayAndCancelsTheLosers) {
  request_.set_text("hello");
  Start(true, true);
  EXPECT_EQ(carrier_.attempts.size(), 1u);
  EXPECT_EQ(attempt(1).request.bytes(), request_.SerializeAsString());
  carrier_.Advance(std::chrono::milliseconds(10));
  EXPECT_EQ(carrier_.attempts.size(), 2u);
  EXPECT_EQ(attempt(2).request.shared(), attempt(1).request.shared()) << "serialized once";
  carrier_.Advance(std::chrono::milliseconds(10));
  EXPECT_EQ(carrier_.attempts.size(), 3u);
  // All three attempts are out: there is no other to wait for.
  EXPECT_EQ(carrier_.to_wake, nullptr);
  Reply(2);
  EXPECT_EQ(call_->ends, 1);
  EXPECT_TRUE(call_->end.status.ok());
  EXPECT_EQ(call_->end.attempts, 3);
  EXPECT_EQ(carrier_.cancelled, (std::set<uint64_t>{1, 3}));
  // The losers refer to the driver, so it has to stay until they have ended, although the user's
  // call is over.
  EXPECT_FALSE(watch_.expired()) << "it waits for the losers";
  // A loser's answer that came before its cancelling changes nothing.
  Reply(3);
  EndCancelled();
  EXPECT_EQ(call_->ends, 1);
}

TEST_F(CallDriverTest, StartsTheNextAtOnceWhenOneFails) {
  Start(true, true);
  Lose(1);
  EXPECT_EQ(carrier_.attempts.size(), 2u);
  Lose(2);
  EXPECT_EQ(carrier_.attempts.size(), 3u);
  EXPECT_EQ(call_->ends, 0);
  Lose(3);
  EXPECT_EQ(call_->ends, 1);
  EXPECT_EQ(message(), "call test.Store/Put: attempt 3 of 3: lost");
}

TEST_F(CallDriverTest, WaitsForTheOthersWhenTheLastFails) {
  Start(true, true);
  carrier_.Advance(std::chrono::milliseconds(10));
  carrier_.Advance(std::chrono::milliseconds(10));
  // The last one that may be tried fails first, and the others are still out.
  Lose(3);
  Lose(1);
  EXPECT_EQ(call_->ends, 0);
  Reply(2);
  EXPECT_EQ(call_->ends, 1);
  EXPECT_TRUE(call_->end.status.ok());
}

TEST_F(CallDriverTest, TakesTheFirstAnswerThatIsOne) {
  Start(true, true);
  carrier_.Advance(std::chrono::milliseconds(10));
  attempt(2).End(Failure(StatusCode::kNotFound, true, "no such key"));
  EXPECT_EQ(call_->ends, 1);
  EXPECT_EQ(call_->end.status, absl::NotFoundError("no such key"));
  EndCancelled();
  EXPECT_EQ(call_->ends, 1);
}

TEST_F(CallDriverTest, DoesNotHedgeBeyondTheBudget) {
  // Just half of the tokens is left. A hedge asks before it starts, so it needs no failure first.
  for (int i = 0; i < 5; ++i) budget_.Take();
  Start(true, true);
  carrier_.Advance(std::chrono::milliseconds(10));
  EXPECT_EQ(carrier_.attempts.size(), 1u);
  EXPECT_EQ(counts_.over_budget, 1);
  Reply(1);
  EXPECT_EQ(call_->ends, 1);
}

// ---- Each state, and each end

enum class State { kFirst, kPausing, kSecond, kTwoAtOnce, kOneLeft };

class CallDriverStates : public CallDriverTest,
                         public ::testing::WithParamInterface<std::tuple<State, By>> {
 protected:
  // The attempt that is under way then, or 0.
  size_t Reach(State state) {
    switch (state) {
      case State::kFirst:
        Start(false, true);
        return 1;
      case State::kPausing:
        Start(false, true);
        Refuse(1);
        return 0;
      case State::kSecond:
        Start(false, true);
        Lose(1);
        carrier_.Advance(carrier_.until_wake());
        return 2;
      case State::kTwoAtOnce:
        hedging_.attempts = 2;
        Start(true, true);
        carrier_.Advance(std::chrono::milliseconds(10));
        return 2;
      case State::kOneLeft:
        hedging_.attempts = 2;
        Start(true, true);
        carrier_.Advance(std::chrono::milliseconds(10));
        Lose(2);
        return 1;
    }
    return 0;
  }
};

TEST_P(CallDriverStates, EndOnce) {
  const auto [state, by] = GetParam();
  const size_t under_way = Reach(state);
  ASSERT_EQ(call_->ends, 0);
  const auto end_all = [&](const CallEnd& end) {
    const size_t first = state == State::kTwoAtOnce ? 1 : under_way;
    for (size_t i = first; i <= under_way && i > 0; ++i) attempt(i).End(end);
  };
  std::optional<StatusCode> expected;
  switch (by) {
    case By::kReply:
      if (under_way > 0) Reply(under_way);
      expected = StatusCode::kOk;
      break;
    case By::kHandler:
      if (under_way > 0) attempt(under_way).End(Failure(StatusCode::kNotFound, true));
      expected = StatusCode::kNotFound;
      break;
    case By::kRefused:
      end_all(Failure(StatusCode::kResourceExhausted, false));
      expected = StatusCode::kResourceExhausted;
      break;
    case By::kLost:
      end_all(Failure(StatusCode::kUnavailable, true));
      expected = StatusCode::kUnavailable;
      break;
    case By::kGoAway:
      end_all(Failure(StatusCode::kUnavailable, false));
      expected = StatusCode::kUnavailable;
      break;
    case By::kCancel:
      call_->handle.Cancel();
      EndCancelled();
      expected = StatusCode::kCancelled;
      break;
    case By::kDeadline:
      end_all(Failure(StatusCode::kDeadlineExceeded, true));
      expected = StatusCode::kDeadlineExceeded;
      break;
    case By::kClose:
      carrier_.is_closed = true;
      // As the channel does with drivers that pause.
      if (CallDriver* driver = std::exchange(carrier_.to_wake, nullptr)) driver->OnChannelClosed();
      end_all(Failure(StatusCode::kUnavailable, true, "the channel was closed"));
      expected = StatusCode::kUnavailable;
      break;
  }
  // If that event has not ended the call, it goes on until an answer comes.
  if (call_->ends == 0) {
    EXPECT_NE(by, By::kClose);
    EXPECT_NE(by, By::kCancel);
    if (carrier_.to_wake != nullptr) carrier_.Advance(carrier_.until_wake());
    Reply(carrier_.attempts.size());
    expected = StatusCode::kOk;
  }
  EXPECT_EQ(call_->ends, 1);
  EXPECT_EQ(call_->end.status.code(), *expected) << call_->end.status;
  EndCancelled();
  // Too late: the call has ended, and nothing of it may move.
  call_->handle.Cancel();
  call_->handle = CallHandle();
  carrier_.RunPosted();
  EXPECT_EQ(call_->ends, 1);
  EXPECT_EQ(carrier_.to_wake, nullptr);
}

std::string NameOf(const ::testing::TestParamInfo<std::tuple<State, By>>& info) {
  constexpr const char* kStates[] = {"First", "Pausing", "Second", "TwoAtOnce", "OneLeft"};
  constexpr const char* kEnds[] = {"Reply",  "Handler",  "Refused", "Lost",
                                   "Cancel", "Deadline", "GoAway",  "Close"};
  return absl::StrCat(kStates[static_cast<int>(std::get<0>(info.param))],
                      kEnds[static_cast<int>(std::get<1>(info.param))]);
}

INSTANTIATE_TEST_SUITE_P(
    All, CallDriverStates,
    ::testing::Combine(::testing::Values(State::kFirst, State::kPausing, State::kSecond,
                                         State::kTwoAtOnce, State::kOneLeft),
                       ::testing::Values(By::kReply, By::kHandler, By::kRefused, By::kLost,
                                         By::kCancel, By::kDeadline, By::kGoAway, By::kClose)),
    NameOf);

// ---- Ends inside other steps

// A link that breaks under the second attempt's own write ends both attempts, and with them the
// driver, before the write returns.
TEST_F(CallDriverTest, MayEndWhileAnAttemptIsBeingSent) {
  Start(/*hedged=*/true, /*idempotent=*/false);
  call_->handle = CallHandle();  // nobody but the driver itself keeps it
  carrier_.in_send = [this] {
    Lose(1);
    Lose(2);
  };
  carrier_.Advance(std::chrono::milliseconds(10));
  ASSERT_EQ(carrier_.attempts.size(), 2u);
  EXPECT_EQ(call_->ends, 1);
  EXPECT_TRUE(watch_.expired()) << "nothing of it is touched any more";
}

// The user's callback closes the channel, which ends the attempts that are left.
TEST_F(CallDriverTest, MayLoseItsOtherAttemptsInTheCallsOwnEnd) {
  Start(/*hedged=*/true, /*idempotent=*/true);
  carrier_.Advance(std::chrono::milliseconds(10));
  ASSERT_EQ(carrier_.attempts.size(), 2u);
  call_->handle = CallHandle();
  call_->in_complete = [this] {
    carrier_.is_closed = true;
    Lose(2);
  };
  Reply(1);
  EXPECT_EQ(call_->ends, 1);
  EXPECT_TRUE(call_->end.status.ok());
}

// ---- Links on other loops

// An end that has come on a link's loop is taken at home, with all that it refers to.
TEST_F(CallDriverTest, TakesHomeWhatEndsElsewhere) {
  Start(false, false);
  std::string seen_reply, seen_trailers;
  call_->in_complete = [&] {
    seen_reply.assign(call_->end.reply, call_->end.reply_size);
    seen_trailers = std::string(call_->end.trailers);
  };
  carrier_.in_home = false;
  {
    std::string reply(100, 'r'), trailers(100, 't');
    CallEnd end;
    end.reply = reply.data();
    end.reply_size = reply.size();
    end.trailers = trailers;
    attempt(1).End(end);
    // Overwritten, as a connection's input is: an end that was posted by reference would show
    // these.
    reply.assign(100, '-');
    trailers.assign(100, '-');
  }
  EXPECT_EQ(call_->ends, 0) << "not on the link's loop";
  carrier_.in_home = true;
  carrier_.RunPosted();
  EXPECT_EQ(call_->ends, 1);
  EXPECT_EQ(seen_reply, std::string(100, 'r'));
  EXPECT_EQ(seen_trailers, std::string(100, 't'));
}

TEST_F(CallDriverTest, TakesHomeAWholeReply) {
  Start(false, false);
  BlockRef block = BlockRef::New(64);
  std::memset(block->data(), 'w', 64);
  std::string seen;
  call_->in_complete = [&] {
    ASSERT_NE(call_->end.whole_reply, nullptr);
    seen.assign(call_->end.whole_reply->data, call_->end.whole_reply->size);
  };
  carrier_.in_home = false;
  {
    ReceivedMessage whole;
    whole.data = block->data();
    whole.size = 64;
    whole.block = std::move(block);
    CallEnd end;
    end.whole_reply = &whole;
    attempt(1).End(end);
  }
  carrier_.RunPosted();
  EXPECT_EQ(call_->ends, 1);
  EXPECT_EQ(seen, std::string(64, 'w'));
}

TEST_F(CallDriverTest, EndsWhereItsLoopHasClosed) {
  Start(false, true);
  carrier_.in_home = false;
  carrier_.is_closed = true;
  Lose(1);
  EXPECT_EQ(call_->ends, 1) << "here and now, for nobody else would";
  EXPECT_THAT(message(), HasSubstr("the channel was closed"));
  // An idempotent method is not tried again where its channel has closed.
  EXPECT_EQ(carrier_.attempts.size(), 1u);
}

TEST_F(CallDriverTest, KnowsWhereItHasBeen) {
  Start(false, false);
  attempt(1).OnPicked(7);
  PickRequest pick;
  attempt(1).DescribePick(&pick);
  EXPECT_EQ(pick.attempt, 1);
  EXPECT_TRUE(pick.tried.empty());
  Refuse(1);
  carrier_.Advance(carrier_.until_wake());
  attempt(2).OnPicked(7);
  attempt(2).OnPicked(9);  // 7 did not take it
  Refuse(2);
  carrier_.Advance(carrier_.until_wake());
  attempt(3).DescribePick(&pick);
  EXPECT_EQ(pick.attempt, 3);
  EXPECT_THAT(std::vector<uint64_t>(pick.tried.begin(), pick.tried.end()),
              ::testing::ElementsAre(7, 9));
  Reply(3);
  ASSERT_EQ(carrier_.reports.size(), 3u);
  // The report names the link that took the attempt, not the one that was tried first.
  EXPECT_EQ(carrier_.reports[1].link, 9u);
  EXPECT_EQ(carrier_.reports[1].code, StatusCode::kUnavailable);
  EXPECT_EQ(carrier_.reports[2].code, StatusCode::kOk);
}

}  // namespace
}  // namespace weft::internal
