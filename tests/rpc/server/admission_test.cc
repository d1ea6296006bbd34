// Admission to a server, its methods and its pools. Calls wait and are served by moving a manual
// clock; no worker and no loop takes part.
#include "weft/rpc/server/admission.h"

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "weft/core/manual_clock.h"
#include "weft/rpc/base/method_stats.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/call/service.h"

namespace weft::internal {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class Connection final : public CallOrigin {
 public:
  void SendAnswer(InboundCall&, const absl::Status&, ReplyMessage*, bool) override {}
  void OnCallReturned(InboundCall&) override {}
  void WatchDeadline(InboundCall&) override {}
  const std::string& peer() const override { return name_; }
  const std::string& identity() const override { return name_; }

 private:
  const std::string name_ = "connection";
};

// Calls of one method that never leave the test.
class AdmissionTest : public testing::Test {
 protected:
  void Use(const OverloadOptions& options, int threads = 1) {
    admission_ = std::make_unique<Admission>(options);
    admission_->AddHandlerPool(threads);
  }
  InboundCall& Come(Nanos timeout = Nanos::max()) {
    InboundCall& call = *calls_.emplace_back(std::make_unique<InboundCall>(pool_));
    call.bound = &bound_;
    call.clock = &clock_;
    call.received = clock_.Now();
    if (timeout != Nanos::max()) call.deadline = clock_.Now() + timeout;
    return call;
  }
  absl::Status Admit(InboundCall& call) { return admission_->Admit(call, clock_.Now()); }
  // A call that comes, waits and is served.
  absl::Status Pass(Nanos wait, Nanos serve, Nanos timeout = Nanos::max(),
                    CallerLoad* caller = nullptr) {
    InboundCall& call = Come(timeout);
    call.SetShare(caller);
    if (absl::Status s = Admit(call); !s.ok()) return s;
    clock_.Advance(wait);
    absl::Status s = admission_->OnStart(call);
    if (s.ok()) clock_.Advance(serve);
    call.answered = clock_.Now();
    admission_->Leave(call);
    return s;
  }

  ManualClock clock_;
  MethodInfo info_{.service = "a.B", .name = "C", .full_name = "a.B/C"};
  ServiceMethod method_{&info_, nullptr};
  MethodRules rules_;
  BoundMethod bound_{.method = &method_, .rules = &rules_};
  CallPool pool_{nullptr};
  std::vector<std::unique_ptr<InboundCall>> calls_;
  std::unique_ptr<Admission> admission_;
};

TEST_F(AdmissionTest, CountsTheServersCallsUntilTheyLeave) {
  Use({.max_calls = 2});
  InboundCall& first = Come();
  EXPECT_TRUE(Admit(first).ok());
  EXPECT_TRUE(Admit(Come()).ok());
  InboundCall& third = Come();
  EXPECT_EQ(Admit(third),
            absl::ResourceExhaustedError("the server is overloaded: 2 calls are under way, the "
                                         "limit is 2 (overload.max_calls of the server)"));
  EXPECT_FALSE(third.serving.admitted);
  admission_->Leave(first);
  EXPECT_TRUE(Admit(third).ok());
  EXPECT_TRUE(third.serving.admitted);
}

TEST_F(AdmissionTest, OneConnectionOfSeveralLeavesTheLastPlacesOfTheServerToOthers) {
  Use({.max_calls = 16});
  const auto connections = std::make_shared<std::atomic<int64_t>>(2);
  admission_->SetConnections(connections);
  const auto hog = std::make_shared<Connection>(), other = std::make_shared<Connection>();
  const auto come = [&](const std::shared_ptr<Connection>& origin) -> InboundCall& {
    InboundCall& call = Come();
    call.origin = origin;
    return call;
  };
  std::vector<InboundCall*> in;
  // The reserve is an eighth of the limit: two places.
  for (int i = 0; i < 14; ++i) EXPECT_TRUE(Admit(*in.emplace_back(&come(hog))).ok());
  EXPECT_EQ(Admit(come(hog)),
            absl::ResourceExhaustedError(
                "the server is overloaded: 14 calls are under way, the limit is 16, of which the "
                "last are for connections with fewer (overload.max_calls of the server)"));
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(Admit(*in.emplace_back(&come(other))).ok());
  EXPECT_THAT(std::string(Admit(come(other)).message()), HasSubstr("16 calls are under way"));
  // Calls that have left give their places back; the hog falls below its part, and is let in again.
  for (size_t i = 0; i < 7; ++i) admission_->Leave(*std::exchange(in[i], nullptr));
  // With the hog's seven calls these make fourteen: the reserve is untouched.
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(Admit(*in.emplace_back(&come(other))).ok());
  EXPECT_TRUE(Admit(*in.emplace_back(&come(hog))).ok());
  EXPECT_FALSE(Admit(come(hog)).ok());
  EXPECT_TRUE(Admit(*in.emplace_back(&come(other))).ok());
  for (InboundCall* call : in) {
    if (call != nullptr) admission_->Leave(*call);
  }
  // A connection that is alone has them all.
  connections->store(1);
  for (int i = 0; i < 16; ++i) EXPECT_TRUE(Admit(come(hog)).ok());
  EXPECT_FALSE(Admit(come(hog)).ok());
}

// A refusal behind the server's limit is no call that was held.
TEST_F(AdmissionTest, ARefusalByTheMethodTakesNoPlaceOfTheConnection) {
  Use({.max_calls = 4});
  admission_->SetConnections(std::make_shared<std::atomic<int64_t>>(2));
  const auto connection = std::make_shared<Connection>();
  rules_.max_calls = 1;
  for (int i = 0; i < 10; ++i) {
    InboundCall& call = Come();
    call.origin = connection;
    // Each refused call takes a place of the connection first, and must give it back.
    EXPECT_EQ(Admit(call).ok(), i == 0);
  }
  EXPECT_EQ(connection->places.held(), 1);
}

TEST_F(AdmissionTest, ARefusalByTheMethodTakesNoPlaceOfTheServer) {
  Use({.max_calls = 3});
  rules_.max_calls = 1;
  InboundCall& first = Come();
  EXPECT_TRUE(Admit(first).ok());
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(
        std::string(Admit(Come()).message()),
        HasSubstr("a.B/C: 1 calls are under way, the limit is 1 (max_calls of the method)"));
  }
  // Without the method's limit the server's own count shows: one of three places is taken.
  rules_.max_calls = 0;
  EXPECT_TRUE(Admit(Come()).ok());
  EXPECT_TRUE(Admit(Come()).ok());
  EXPECT_FALSE(Admit(Come()).ok());
}

TEST_F(AdmissionTest, TheAdaptiveLimitTakesNoPlaceWhereItRefuses) {
  Use({.max_calls = 100, .adaptive = true, .min_adaptive_calls = 1, .max_adaptive_calls = 2});
  rules_.max_calls = 100;
  std::vector<InboundCall*> in;
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(Admit(*in.emplace_back(&Come())).ok());
  // The text tells that the pool refuses. If refusals kept their places, the limits of 100 would be
  // the ones that refuse before long.
  for (int i = 0; i < 200; ++i) {
    EXPECT_THAT(std::string(Admit(Come()).message()),
                HasSubstr("2 calls are under way for its pool, the limit is 2 at present"));
  }
  for (InboundCall* call : in) admission_->Leave(*call);
  EXPECT_TRUE(Admit(Come()).ok());
}

TEST_F(AdmissionTest, TheAdaptiveLimitIsNotBelowTheThreads) {
  Use({.adaptive = true, .min_adaptive_calls = 1, .max_adaptive_calls = 1}, /*threads=*/3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Admit(Come()).ok());
  EXPECT_FALSE(Admit(Come()).ok());
}

TEST_F(AdmissionTest, CallsThatHaveAnOrderDoNotCountForThePool) {
  Use({.max_calls = 5, .adaptive = true, .min_adaptive_calls = 1, .max_adaptive_calls = 1});
  rules_.ordered = true;
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(Admit(Come()).ok());
  EXPECT_THAT(std::string(Admit(Come()).message()), HasSubstr("overload.max_calls"));
}

TEST_F(AdmissionTest, AStandingQueueRefusesWhatWaitedForTwiceTheTarget) {
  Use({.shed = true});
  // The queue stands after an interval in which each call waited longer than the target of 5 ms. A
  // call below twice the target still passes.
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(Pass(milliseconds(8), milliseconds(1)).ok()) << i;
  EXPECT_TRUE(admission_->load(0)->nobody().stands());
  EXPECT_TRUE(Pass(milliseconds(9), milliseconds(1)).ok());
  EXPECT_THAT(std::string(Pass(milliseconds(11), milliseconds(1)).message()),
              HasSubstr("the call waited 11.0 ms in a queue that stands, more than twice the "
                        "target of 5.0 ms (overload.queue_target of the server)"));
  // One call below the target shows that the queue has been empty.
  EXPECT_TRUE(Pass(milliseconds(1), milliseconds(1)).ok());
  EXPECT_TRUE(Pass(milliseconds(11), milliseconds(1)).ok()) << "it does not stand any more";
}

TEST_F(AdmissionTest, AStandingQueueRefusesDeadlinesThatCannotBeMet) {
  Use({.shed = true});
  // Waits of 8 ms and handlers of 4 ms, smoothed: after so many the estimates are there.
  for (int i = 0; i < 200; ++i) {
    EXPECT_TRUE(Pass(milliseconds(8), milliseconds(4), milliseconds(100)).ok()) << i;
  }
  ASSERT_TRUE(admission_->load(0)->nobody().stands());
  EXPECT_THAT(std::string(Admit(Come(milliseconds(11))).message()),
              HasSubstr("the call has 11.0 ms left and would need 12.0 ms (overload.shed"));
  InboundCall& call = Come(milliseconds(13));
  ASSERT_TRUE(Admit(call).ok());
  clock_.Advance(milliseconds(10));
  EXPECT_THAT(
      std::string(admission_->OnStart(call).message()),
      HasSubstr("after 10.0 ms in the queue the call has 3.0 ms left and would need 4.0 ms"));
  // One without a deadline is in time for ever.
  EXPECT_TRUE(Pass(milliseconds(8), milliseconds(4)).ok());
  // A caller whose queue does not stand may try.
  const std::shared_ptr<CallerLoad> quiet = admission_->load(0)->NewCaller();
  InboundCall& hasty = Come(milliseconds(1));
  hasty.SetShare(quiet.get());
  ASSERT_TRUE(Admit(hasty).ok());
  EXPECT_TRUE(admission_->OnStart(hasty).ok());
  hasty.answered = clock_.Now();
  admission_->Leave(hasty);
}

TEST_F(AdmissionTest, ACallerWithFewCallsIsLetInWhereAnotherFillsTheAdaptiveLimit) {
  Use({.adaptive = true, .min_adaptive_calls = 10, .max_adaptive_calls = 10});
  const auto hog = admission_->load(0)->NewCaller(), other = admission_->load(0)->NewCaller();
  const auto come = [&](const std::shared_ptr<CallerLoad>& caller) -> InboundCall& {
    InboundCall& call = Come();
    call.SetShare(caller.get());
    return call;
  };
  std::vector<InboundCall*> in;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(Admit(*in.emplace_back(&come(hog))).ok());
  EXPECT_FALSE(Admit(come(hog)).ok());
  // Half of it, for two share it.
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(Admit(*in.emplace_back(&come(other))).ok());
  EXPECT_FALSE(Admit(come(other)).ok());
  EXPECT_FALSE(Admit(come(hog)).ok());
  EXPECT_EQ(admission_->load(0)->calls(), 15);
  for (InboundCall* call : in) admission_->Leave(*call);
  EXPECT_EQ(admission_->load(0)->calls(), 0);
  EXPECT_EQ(hog->calls() + other->calls(), 0);
  // Never more than twice the limit, however many come.
  std::vector<std::shared_ptr<CallerLoad>> many;
  int let_in = 0;
  for (int i = 0; i < 50; ++i) {
    if (Admit(come(many.emplace_back(admission_->load(0)->NewCaller()))).ok()) ++let_in;
  }
  EXPECT_EQ(let_in, 20);
}

TEST_F(AdmissionTest, AQueueStandsForTheCallerThatMakesItStand) {
  Use({.shed = true});
  const auto hog = admission_->load(0)->NewCaller(), other = admission_->load(0)->NewCaller();
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(Pass(milliseconds(8), milliseconds(1), Nanos::max(), hog.get()).ok());
    EXPECT_TRUE(Pass(milliseconds(0), milliseconds(1), Nanos::max(), other.get()).ok());
  }
  EXPECT_TRUE(hog->stands());
  EXPECT_FALSE(other->stands());
  EXPECT_FALSE(Pass(milliseconds(11), milliseconds(1), Nanos::max(), hog.get()).ok());
  EXPECT_TRUE(Pass(milliseconds(11), milliseconds(1), Nanos::max(), other.get()).ok());
  // Its deadlines are looked at by its own waits.
  EXPECT_TRUE(Pass(milliseconds(0), milliseconds(1), milliseconds(3), other.get()).ok());
  EXPECT_FALSE(Pass(milliseconds(0), milliseconds(1), milliseconds(3), hog.get()).ok());
}

TEST_F(AdmissionTest, HandlersTimesAreThoseOfAnsweredCallsOnly) {
  Use({.shed = true});
  InboundCall& call = Come();
  ASSERT_TRUE(Admit(call).ok());
  ASSERT_TRUE(admission_->OnStart(call).ok());
  call.answered = call.serving.started + milliseconds(8);
  admission_->Leave(call);
  EXPECT_EQ(rules_.typical_time(), milliseconds(1));
}

}  // namespace
}  // namespace weft::internal
